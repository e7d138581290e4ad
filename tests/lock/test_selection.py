"""Choosing the target of a lock for a machine."""

import pytest

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.lock.selection import Machine, MachineProblem, choose_target, target_name
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))
MUSL = Target(PythonVersion(9), "x86_64", MuslVersion(1, 2))
MACHINE = Machine(PythonVersion(9, 18), "x86_64", GlibcVersion(2, 36))


def test_lowest_cap_is_chosen() -> None:
    """A machine gets the target with its Python and architecture, and of two caps the lower."""
    other = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17))
    higher = TARGET._replace(cap=GlibcVersion(2, 34))
    assert choose_target(MACHINE, [other, higher, TARGET]) == TARGET
    assert choose_target(MACHINE, [higher, TARGET], "cp39-x86_64-glibc2.34") == higher


def test_c_library_must_match() -> None:
    """A machine gets the target with its C library; naming the other target is an error."""
    alpine = MACHINE._replace(libc=MuslVersion(1, 2))
    assert "cp39-x86_64-musl1.2" == target_name(MUSL)
    assert TARGET == choose_target(MACHINE, [TARGET, MUSL])
    assert MUSL == choose_target(alpine, [TARGET, MUSL])
    with pytest.raises(MachineProblem, match=r"this machine has musl 1\.2, the lock is for glibc"):
        choose_target(alpine, [TARGET, MUSL], "cp39-x86_64-glibc2.27")
    with pytest.raises(MachineProblem, match=r"this machine has musl 1\.1, the lock is for musl 1\.2") as refused:
        choose_target(MACHINE._replace(libc=MuslVersion(1, 1)), [TARGET, MUSL])
    assert 'set musl = "1.1" in [tool.minglibc]' in refused.value.hint


def test_other_python_with_the_c_library_is_not_a_machine_problem() -> None:
    """If the lock has this C library only for another Python, another interpreter may fit."""
    other = MUSL._replace(python=PythonVersion(11))
    with pytest.raises(EnvironmentProblem, match=r"no target for CPython 3\.9\.18") as refused:
        choose_target(MACHINE._replace(libc=MuslVersion(1, 2)), [TARGET, other])
    assert not isinstance(refused.value, MachineProblem)


def test_exact_patch_release_must_match() -> None:
    """A target for 3.9.2 fits no other 3.9."""
    exact = TARGET._replace(python=PythonVersion(9, 2))
    assert target_name(exact) == "cp39.2-x86_64-glibc2.27"
    assert choose_target(MACHINE._replace(python=PythonVersion(9, 2)), [exact]) == exact
    with pytest.raises(EnvironmentProblem):
        choose_target(MACHINE, [exact])


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            {"libc": GlibcVersion(2, 17)},
            "this machine has glibc 2.17 (RHEL 7), the lock is for glibc 2.27 (Ubuntu 18.04)",
            'glibc = "2.17"',
        ),
        ({"libc": MuslVersion(1, 2)}, "this machine has musl 1.2, the lock is for glibc", 'add musl = "1.2" to'),
        ({"libc": None}, "can't determine the version of this machine's C library", "Linux with glibc or musl"),
        ({"architecture": "aarch64"}, "the lock has no target for aarch64", "cp39-x86_64-glibc2.27"),
        ({"architecture": "i686"}, "the lock has no target for i686", "architectures"),
        (
            {"architecture": "armv7l without hardware floating point"},
            "the lock has no target for armv7l without hardware floating point",
            "",
        ),
        ({"python": PythonVersion(8, 1)}, "the lock has no target for CPython 3.8.1 on x86_64", "--python"),
        ({"python": PythonVersion(13, 1, free_threaded=True)}, "CPython 3.13.1t on x86_64", "--python"),
        ({"implementation": "pypy"}, "this interpreter is pypy, the lock is for CPython", ""),
    ],
)
def test_unsupported_machine_is_an_error(change: dict[str, object], message: str, hint: str) -> None:
    """The error names the mismatch, the lock's targets and the remedy."""
    with pytest.raises(EnvironmentProblem) as refused:
        choose_target(MACHINE._replace(**change), [TARGET])  # type: ignore[arg-type]  # a table of fields
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_machine_problems_are_distinguished() -> None:
    """An old glibc is a property of the machine; another Python only of the interpreter."""
    with pytest.raises(MachineProblem):
        choose_target(MACHINE._replace(libc=GlibcVersion(2, 17)), [TARGET])
    with pytest.raises(EnvironmentProblem) as refused:
        choose_target(MACHINE._replace(python=PythonVersion(8, 1)), [TARGET])
    assert not isinstance(refused.value, MachineProblem)


def test_unknown_target_name_is_a_settings_error() -> None:
    """The hint for an unknown --target lists the names that exist."""
    with pytest.raises(SettingsError) as refused:
        choose_target(MACHINE, [TARGET], "cp310-x86_64-glibc2.27")
    assert "cp39-x86_64-glibc2.27" in refused.value.hint
