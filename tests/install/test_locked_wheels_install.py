"""What ``lock`` accepts, ``sync`` installs: the exceptions are damaged, forged and malicious files."""

import random
from pathlib import Path

import pytest

from tests.support.environments import LockedProject, installed
from tests.support.faults import FAULTS
from tests.support.index import IndexServer
from tests.support.parameters import one_in
from tests.support.wheels import BuiltWheel, Member, build_wheel, tamper

# Only a download shows these: the content differs from what the index said, or is invalid or malicious.
REFUSED = {
    *("N28", "N30", "N31", "N33", "N36", "N37", "N54", "N62", "N63", "N64", "N65", "N66", "N67", "N69", "N70", "N71"),
    *("N72", "N73", "N74", "N76", "N77", "N78", "N80", "N81", "N82"),
}
# The locks of these fail, some of them slowly.
SLOW = {"N05", "N06", "N08", "N09", "N10", "N11", "N12", "N14", "N24", "N30", "N31"}


@pytest.mark.parametrize("row", one_in(4, sorted({*FAULTS} - SLOW)))
def test_locks_of_the_catalogue(row: str, tmp_path: Path, index: IndexServer) -> None:
    """For each fault that does not prevent a lock, the lock installs into an empty environment, or is a known exception."""
    project = LockedProject(tmp_path / "project", index)
    FAULTS[row](index)
    project.write(["a"])
    if project.command("lock").code == 0:
        ran = project.sync()
        assert (ran.code == 0) == (row not in REFUSED), ran.err
        assert ran.code != 0 or project.sync("--check").code == 0
        assert "Traceback" not in ran.err


def odd_wheel(name: str, chance: random.Random) -> BuiltWheel:
    """A wheel with some of the deviations that published wheels have."""
    info = f"{name}-1.0.dist-info"
    files = {f"{name}/__init__.py": f"# {name}\n"}
    for path in ("tests/conftest.py", "LICENSE", "ns/__init__.py", "tests/data/x.txt"):
        if chance.random() < 0.5:
            files[path] = chance.choice(["", f"{name}\n", "shared\n"])
    tags = chance.choice([None, [], [""], ["cp27-cp27m-win32"]])
    wheel = build_wheel(name, "1.0", files=files, wheel_tags=tags, scripts=chance.choice([None, {name: f"{name}:x"}]))
    added = [Member(f"{name}-1.0.data/scripts/{name}.sh", b"#!python\n")] if chance.random() < 0.5 else []
    added += [Member(f"{name}/unlisted.py", b"")] if chance.random() < 0.5 else []
    added += [Member(f"{info}/unlisted.txt", b"")] if chance.random() < 0.5 else []
    return tamper(wheel, append=added)


@pytest.mark.parametrize("seed", one_in(4, range(8)))
def test_locks_of_odd_wheels(seed: int, tmp_path: Path, index: IndexServer) -> None:
    """Any selection of wheels with deviations locks and installs, from any earlier selection."""
    chance = random.Random(seed)
    names = ["a", "b", "c", "d"]
    for name in names:
        index.add(odd_wheel(name, chance))
    project = LockedProject(tmp_path / "project", index)
    for _ in range(3):
        selected = chance.sample(names, chance.randint(1, 4))
        project.lock(*selected)
        ran = project.sync()
        assert ran.code == 0, ran.err
        assert set(installed(project.venv)) == set(selected)
        assert project.sync("--check").code == 0
