"""A cache that several projects share: what one index says is never taken for another's word."""

from pathlib import Path

import pytest

from tests.support.commands import minglibc, read_lock
from tests.support.faults import Fault
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel, metadata_text

GOOD = build_wheel("b", "1.0")
EVIL = build_wheel("b", "1.0", requires=["evil"])


def locked(folder: Path, index: IndexServer) -> dict[str, str]:
    """What a project that requires b gets from *index*; empty where it can't be locked."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["b"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{index.url}"\n'
    )
    if minglibc("lock", "--project", str(folder)).code:
        return {}
    lock = read_lock(folder)
    return lock.versions(lock.targets[0])


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("stripped", [True, False])
def test_metadata_of_one_index_is_not_anothers(tmp_path: Path, *, ranges: bool, stripped: bool) -> None:
    """An index that lies about a wheel of another one, by its hash, changes nothing of what is locked from the other."""
    with IndexServer(strip_core_metadata=stripped) as correct, IndexServer(strip_core_metadata=stripped) as hostile:
        correct.add(GOOD)
        correct.serve_metadata = not ranges
        hostile.add(build_wheel("evil", "1.0"))
        # It claims the good wheel's hashes, and serves metadata, or a wheel to read it from, of its own.
        hostile.add(GOOD._replace(metadata=EVIL.metadata if stripped else GOOD.metadata), served=EVIL.content)
        if ranges:
            hostile.fault("*.metadata", Fault.status(404))
        locked(tmp_path / "hostile", hostile)
        assert {"b": "1.0"} == locked(tmp_path / "correct", correct)


def test_a_hash_is_no_line_of_the_cache(tmp_path: Path, index: IndexServer) -> None:
    """A page whose hash holds line ends writes no line of its own into the cache's journal."""
    digest = GOOD.sha256
    line = f'00000000 sha256:{digest} ["b","1.0",["evil"],"",[]]'
    index.add(GOOD, hashes={"sha256": f"ab\n{line}\n"})
    assert {"b": "1.0"} == locked(tmp_path / "project", index)
    index.add(build_wheel("evil", "1.0"))
    with IndexServer() as correct:
        correct.add(GOOD)
        assert {"b": "1.0"} == locked(tmp_path / "correct", correct)
    assert metadata_text("b", "1.0") != EVIL.metadata
