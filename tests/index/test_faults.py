"""How `lock` handles each fault of the index."""

from pathlib import Path

import pytest

from minglibc.errors import EXIT_CANNOT, EXIT_UNREACHABLE
from minglibc.index.limits import Limits
from tests.support.commands import locked_versions, minglibc
from tests.support.faults import FAULTS
from tests.support.index import IndexServer

DONE = 0
# Row → exit code, what stderr says; rows that end well also say what is locked for b.
EXPECTED: dict[str, tuple[int, tuple[str, ...]]] = {
    "N01": (EXIT_CANNOT, ("b is on no index", "a 1.0 requires b")),
    "N02": (EXIT_CANNOT, ("b is on no index", "a 1.0 requires b")),
    "N03": (EXIT_UNREACHABLE, ("/simple/b/", "403")),
    "N04": (EXIT_UNREACHABLE, ("/simple/b/", "401", "credentials")),
    "N05": (DONE, ("b 1.0",)),
    "N06": (EXIT_UNREACHABLE, ("429", "wait 1 s", "tried")),
    "N07": (DONE, ("b 1.0",)),
    "N08": (EXIT_UNREACHABLE, ("/simple/b/", "500", "tried")),
    "N09": (EXIT_UNREACHABLE, ("503", "3600 s")),
    "N10": (EXIT_UNREACHABLE, ("/simple/b/", "no response for")),
    "N11": (EXIT_UNREACHABLE, ("/simple/b/", "no ")),
    "N12": (EXIT_UNREACHABLE, ("cut short", "tried")),
    "N13": (DONE, ("b 1.0",)),
    "N14": (EXIT_UNREACHABLE, ("the connection was lost", "tried")),
    "N15": (EXIT_UNREACHABLE, ("login page",)),
    "N16": (EXIT_UNREACHABLE, ("/simple/b/", "JSON", "it begins")),
    "N17": (EXIT_UNREACHABLE, ("`files`",)),
    "N18": (EXIT_UNREACHABLE, ("$.files",)),
    "N19": (EXIT_UNREACHABLE, ("application/octet-stream",)),
    "N20": (EXIT_UNREACHABLE, ("version 2.0", "1.x")),
    "N21": (EXIT_UNREACHABLE, ("redirect loop",)),
    "N22": (EXIT_UNREACHABLE, ("not http(s)", "file://")),
    "N23": (DONE, ("b 1.0",)),
    "N24": (EXIT_UNREACHABLE, ("when decompressed",)),
    "N25": (EXIT_UNREACHABLE, ("empty body",)),
    "N26": (EXIT_UNREACHABLE, ("another project", "zzz")),
    "N27": (EXIT_UNREACHABLE, ("/simple/b/", "utf-8")),
    "N34": (DONE, ("no sha256 for b-1.0", "b 1.0")),
    "N35": (DONE, ("no sha256 for b-1.0", "b 1.0")),
    "N38": (EXIT_CANNOT, ("file:///etc/hostname is not http(s)",)),
    "N39": (EXIT_UNREACHABLE, ("404", "b-1.0")),
    "N40": (DONE, ("b 1.0",)),
    "N41": (DONE, ("b 1.0",)),
    "N42": (EXIT_CANNOT, ("b has no releases", "c-1.0")),
    "N43": (DONE, ("whose name contains a path", "b 1.0")),
    "N44": (DONE, ("whose name contains a path", "b 1.0")),
    "N45": (DONE, ("b 1.0", "invalid name")),
    "N46": (DONE, ("b 1.0", "c 1.0")),
    "N47": (EXIT_CANNOT, ("b 1.0 can't be used",)),
    "N48": (EXIT_CANNOT, ("b 1.0 can't be used", "bogus_variable")),
    "N49": (DONE, ("b 1.0",)),
    "N50": (EXIT_CANNOT, ("b 1.0 can't be used", "evil")),
    "N51": (EXIT_CANNOT, ("b 1.0 can't be used", "version 9")),
    "N52": (EXIT_UNREACHABLE, ("b-1.0", "sha256", "promises")),
    "N53": (DONE, ("b 1.0",)),
    "N55": (EXIT_CANNOT, ("b 1.0 is yanked", "it deletes files")),
    "N56": (EXIT_CANNOT, ("b is quarantined", "it steals passwords")),
    "N57": (DONE, ("b is archived", "b 1.0")),
    "N58": (DONE, ("b is deprecated", "b 1.0")),
    "N59": (DONE, ("b 0.9",)),
    "N60": (DONE, ("a 1.0", "b 1.0")),
    "N61": (DONE, ("a 1.0", "b 1.0")),
}

# Faults that last until a timeout, and those with a Retry-After header.
HANGING, WAITING = ("N10", "N11"), ("N05", "N06")


@pytest.fixture
def project(index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that requires a, which requires b."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "2")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["a"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{index.url}"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow) if row in (*HANGING, *WAITING) else row for row in EXPECTED]
)
def test_fault(row: str, index: IndexServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the index is overcome, or named with its cause; what was there before is still there."""
    if row in HANGING:
        limits = Limits(timeout=3.0, deadline=3.0, retries=0)
        monkeypatch.setattr(Limits, "from_environment", lambda: limits)
    FAULTS[row](index)
    code, expected = EXPECTED[row]
    ran = minglibc("lock", "-v", "--project", str(project))
    assert code == ran.code, ran.err
    assert [] == [text for text in expected if text not in ran.err], ran.err
    assert "Traceback" not in ran.err
    if code == DONE:
        assert {"a", "b"} <= set(locked_versions(project))
    else:
        assert ["pyproject.toml"] == sorted(path.name for path in project.iterdir())


def test_old_lock_survives_every_fault(index: IndexServer, project: Path) -> None:
    """A failed upgrade leaves the lock byte for byte as it was."""
    FAULTS["N07"](index)
    assert DONE == minglibc("lock", "--project", str(project)).code
    before = (project / "pylock.toml").read_bytes()
    FAULTS["N16"](index)
    ran = minglibc("lock", "--upgrade", "--project", str(project), "--cache-dir", str(project.parent / "other"))
    assert EXIT_UNREACHABLE == ran.code
    assert before == (project / "pylock.toml").read_bytes()


def test_redirect_to_another_host_carries_no_credentials(index: IndexServer, project: Path) -> None:
    """Following a redirect to another host sends no Authorization there."""
    FAULTS["N23"](index)
    url = index.url.replace("http://", "http://user:secret@")
    assert DONE == minglibc("lock", "--project", str(project), "--index-url", url).code
    assert any("Authorization" in request.headers for request in index.requests)
    assert index.other is not None
    assert [] == [request for request in index.other.requests if "Authorization" in request.headers]
    assert "secret" not in (project / "pylock.toml").read_text()
