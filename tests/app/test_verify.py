"""`tool.minglibc.verify`: a wheel that needs more than its tag says is skipped for another file or release."""

from pathlib import Path

import pytest

from minglibc.app.reporter import SilentReporter
from minglibc.app.verify import resolve_verified
from minglibc.errors import ResolutionError
from tests.support.elves import elf
from tests.support.explained import Project, compiled, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


class Warnings(SilentReporter):
    """A reporter that keeps the warnings."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def warn(self, message: str) -> None:
        """Keep *message*."""
        self.messages.append(message)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project on an empty index."""
    return Project(tmp_path, index)


@pytest.fixture
def warnings() -> Warnings:
    """The warnings of the resolution."""
    return Warnings()


def selected(project: Project, warnings: Warnings, *, trusted: tuple[str, ...] = ()) -> dict[str, str]:
    """The file of each package that a verified resolution selects for the first target."""
    with project.session(warnings) as session:
        resolutions = resolve_verified(session, lambda target: {}, project.options, warnings, trusted=trusted)
    return {name: wheel.filename for name, wheel in resolutions[0].artifacts.items()}


def test_skips_releases(project: Project, warnings: Warnings) -> None:
    """The newest release whose tag is right is selected, and a warning names each skipped file and what it needs."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    for version in ("2.0", "3.0"):
        project.index.add(compiled("a", version, manylinux(17), "GLIBC_2.34"))
    assert {"a": f"a-1.0-{manylinux(17)}.whl"} == selected(project.write("a"), warnings)
    assert [
        f"skipped a-{version}-{manylinux(17)}.whl: its tag understates what it needs: a/_a.abi3.so needs GLIBC_2.34"
        for version in ("3.0", "2.0")
    ] == warnings.messages


def test_prefers_another_file(project: Project, warnings: Warnings) -> None:
    """Another file of the same release is preferred to an older release."""
    project.index.add(compiled("a", "2.0", manylinux(17), "GLIBC_2.34"))
    project.index.add(build_wheel("a", "2.0"))
    project.index.add(build_wheel("a", "1.0"))
    assert {"a": "a-2.0-py3-none-any.whl"} == selected(project.write("a"), warnings)


def test_no_usable_release(project: Project, warnings: Warnings) -> None:
    """Where every wheel needs too much, the error says what each one needs."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.34"))
    with pytest.raises(ResolutionError, match=r"its tag understates what it needs: a/_a\.abi3\.so needs GLIBC_2\.34"):
        selected(project.write("a"), warnings)


def test_reads_each_wheel_once(project: Project, warnings: Warnings) -> None:
    """A wheel is downloaded once; trusted wheels and wheels for any platform are not downloaded."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    project.index.add(compiled("b", "1.0", manylinux(17), "GLIBC_2.17"))
    project.index.add(build_wheel("pure", "1.0"))
    trusted = (f"b-1.0-{manylinux(17)}.whl",)
    first = selected(project.write("a", "b", "pure"), warnings, trusted=trusted)
    assert [f"/files/a-1.0-{manylinux(17)}.whl"] == project.index.paths("*.whl")
    project.index.reset()
    assert first == selected(project, warnings, trusted=trusted)
    assert [] == project.index.paths("*.whl")


def test_allows_other_libraries(project: Project, warnings: Warnings) -> None:
    """A wheel that needs a driver's library is selected: only `check` reports that library."""
    files = {"a/a.so": elf(needed=("libcuda.so.1",))}
    project.index.add(build_wheel("a", "2.0", manylinux(17), files=files))
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    assert {"a": f"a-2.0-{manylinux(17)}.whl"} == selected(project.write("a"), warnings)


def test_hints_are_verified(project: Project, warnings: Warnings) -> None:
    """A change that only selects another wheel that needs more is not suggested; a sufficient cap is."""
    for version in ("1.0", "2.0"):
        project.index.add(compiled("a", version, manylinux(17), "GLIBC_2.34"))
    project.index.add(compiled("a", "3.0", manylinux(34), "GLIBC_2.34"))
    with pytest.raises(ResolutionError) as failure:
        selected(project.write("a>=2"), warnings)
    hint = failure.value.hint or ""
    assert 'glibc = "2.28"' not in hint
    assert '"a" in place of "a>=2"' not in hint
    assert 'glibc = "2.34"' in hint


def test_reading_stops(project: Project, warnings: Warnings) -> None:
    """After four releases of a project, the others are not read, and the messages say so."""
    for number in range(1, 8):
        project.index.add(compiled("a", f"{number}.0", manylinux(17), "GLIBC_2.34"))
    with pytest.raises(ResolutionError, match="was not read, because 4 other releases need more than their tags say"):
        selected(project.write("a"), warnings)
    skipped = [message for message in warnings.messages if message.startswith("skipped")]
    assert len(skipped) == 4
    assert 'a constraint such as "a<VERSION" selects an older release' in warnings.messages[-1]


def test_older_libstdcxx(project: Project, warnings: Warnings) -> None:
    """A wheel that needs a newer libstdc++ than `libstdcxx` is skipped."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    extension = elf(needs={"libstdc++.so.6": ("GLIBCXX_3.4.18",)})
    project.index.add(build_wheel("a", "2.0", manylinux(17), files={"a/_a.abi3.so": extension}))
    assert selected(project.write("a"), warnings) == {"a": f"a-2.0-{manylinux(17)}.whl"}
    assert selected(project.write("a", libstdcxx="3.4.17"), warnings) == {"a": f"a-1.0-{manylinux(17)}.whl"}
    assert "a/_a.abi3.so needs GLIBCXX_3.4.18" in warnings.messages[0]


def test_processor(project: Project, warnings: Warnings) -> None:
    """A wheel that needs a higher level of x86-64 than `cpu` is skipped."""
    project.index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.17"))
    extension = elf(needs={"libc.so.6": ("GLIBC_2.17",)}, cpu_bits=4)
    project.index.add(build_wheel("a", "2.0", manylinux(17), files={"a/_a.abi3.so": extension}))
    assert selected(project.write("a"), warnings) == {"a": f"a-1.0-{manylinux(17)}.whl"}
    assert "a/_a.abi3.so needs x86-64-v3" in warnings.messages[0]
    assert selected(project.write("a", cpu="x86-64-v3"), warnings) == {"a": f"a-2.0-{manylinux(17)}.whl"}
