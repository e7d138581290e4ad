"""`tool.minglibc.verify`: a wheel that lies is passed over for another build or release."""

from pathlib import Path

import pytest

from minglibc.cli.locking import work
from minglibc.cli.verifying import solve_verified
from minglibc.errors import ResolutionError
from tests.support.elves import elf
from tests.support.explained import Project, compiled, manylinux, parsed_arguments
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project on an index of its own."""
    return Project(tmp_path, index)


def chosen(project: Project, *, trusted: tuple[str, ...] = ()) -> dict[str, str]:
    """The file of each package that a verified lock takes on the first target."""
    text = (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    given = parsed_arguments(project)
    with work(text, given) as found:
        answers = solve_verified(found, lambda target: {}, given, trusted=trusted)
    return {name: wheel.filename for name, wheel in answers[0].wheels.items()}


def test_a_lying_release_is_passed_over(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest release whose files keep the tag's word is taken, and what was passed over is said."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    for version in ("2.0", "3.0"):
        project.index.add(compiled("a", version, manylinux(17), "GLIBC_2.34"))
    assert {"a": f"a-1.0-{manylinux(17)}.whl"} == chosen(project.write("a"))
    said = f"warning: a-3.0-{manylinux(17)}.whl is passed over, its tag lies: a/_a.abi3.so needs GLIBC_2.34\n"
    assert said in capsys.readouterr().err


def test_a_lying_build_is_passed_over(project: Project) -> None:
    """Another build of the same release is preferred to an older release."""
    project.index.add(compiled("a", "2.0", manylinux(17), "GLIBC_2.34"))
    project.index.add(build_wheel("a", "2.0"))
    project.index.add(build_wheel("a", "1.0"))
    assert {"a": "a-2.0-py3-none-any.whl"} == chosen(project.write("a"))


def test_nothing_but_liars(project: Project) -> None:
    """Where every wheel lies there is no lock, and the error says of what."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.34"))
    with pytest.raises(ResolutionError, match=r"its tag lies: a/_a\.abi3\.so needs GLIBC_2\.34"):
        chosen(project.write("a"))


def test_it_costs_once(project: Project) -> None:
    """A wheel is fetched once for its digest; one that was locked before, or that holds no binaries by its tag, never."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    project.index.add(compiled("b", "1.0", manylinux(17), "GLIBC_2.17"))
    project.index.add(build_wheel("pure", "1.0"))
    trusted = (f"b-1.0-{manylinux(17)}.whl",)
    first = chosen(project.write("a", "b", "pure"), trusted=trusted)
    assert [f"/files/a-1.0-{manylinux(17)}.whl"] == project.index.paths("*.whl")
    project.index.reset()
    assert first == chosen(project, trusted=trusted)
    assert [] == project.index.paths("*.whl")


def test_a_library_from_elsewhere_is_no_lie(project: Project) -> None:
    """What a wheel takes from a driver is told by `check`, and no reason to refuse it."""
    files = {"a/a.so": elf(needed=("libcuda.so.1",))}
    project.index.add(build_wheel("a", "2.0", manylinux(17), files=files))
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    assert {"a": f"a-2.0-{manylinux(17)}.whl"} == chosen(project.write("a"))
