"""What an environment needs to become its lock, decided from values alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.install.plan import (
    Action,
    Installed,
    Machine,
    MachineProblem,
    Step,
    Wanted,
    choose_target,
    plan,
    target_name,
    unmet,
)
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))
MACHINE = Machine(PythonVersion(9, 18), "x86_64", GlibcVersion(2, 36))
TAG = "cp39-abi3-manylinux_2_17_x86_64"
WHEEL = Wanted("crypto", "44.0", f"crypto-44.0-{TAG}.whl", "sha256:aa")


def the_step(installed: Installed) -> Step:
    """What happens to *installed* when WHEEL is locked."""
    (step,) = plan([WHEEL], [installed], TARGET).steps
    return step


def test_a_missing_distribution_is_installed() -> None:
    """What is locked and not there is installed."""
    assert plan([WHEEL], [], TARGET).steps == (Step(Action.INSTALL, "crypto", (), "44.0", "not installed"),)


def test_the_locked_file_is_kept() -> None:
    """What minglibc installed from the locked file is kept, whatever its tags say."""
    assert the_step(Installed("crypto", "44.0", frozenset(), "sha256:aa")).action is Action.KEEP


def test_a_version_may_be_spelt_otherwise() -> None:
    """METADATA's 44.0.0 and 44 are the lock's 44.0; a text that is no version is another one."""
    for spelling in ("44", "44.0.0", "v44.0"):
        assert the_step(Installed("crypto", spelling, frozenset([TAG]))).action is Action.KEEP
    assert the_step(Installed("crypto", "44.0-custom!", frozenset([TAG]))).action is Action.REINSTALL


def test_another_installers_same_wheel_is_kept() -> None:
    """Another installer's distribution stays when its tags are the locked wheel's."""
    assert the_step(Installed("crypto", "44.0", frozenset([TAG]))).action is Action.KEEP


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        (Installed("crypto", "43.0", frozenset([TAG])), "43.0 is installed, the lock has 44.0"),
        (
            Installed("crypto", "44.0", frozenset(["cp39-abi3-manylinux_2_34_x86_64"])),
            "its wheel needs glibc 2.34, the cap is 2.27",
        ),
        (
            Installed("crypto", "44.0", frozenset(["cp39-cp39-manylinux_2_17_x86_64"])),
            f"its wheel is for cp39-cp39-manylinux_2_17_x86_64, the lock's for {TAG}",
        ),
        (
            Installed("crypto", "44.0", frozenset(["cp39-cp39-linux_x86_64"])),
            "built for cp39-cp39-linux_x86_64, which says nothing of glibc",
        ),
        (
            Installed("crypto", "44.0", frozenset(["cp39-cp39-win_amd64"])),
            "its wheel is for cp39-cp39-win_amd64, not for CPython 3.9 on x86_64 with glibc 2.27",
        ),
        (Installed("crypto", "44.0"), "it does not say which wheel it came from"),
        (Installed("crypto", "44.0", digest="sha256:bb"), "installed from another file than the lock's"),
        (Installed("crypto", "44.0", frozenset([TAG]), direct_url="file:///src"), "installed from file:///src"),
        (Installed("crypto", "44.0", frozenset([TAG]), "sha256:aa", damage="it has no METADATA"), "it has no METADATA"),
        (Installed("crypto", "44.0", frozenset([TAG]), damage="its file x.py is missing"), "its file x.py is missing"),
        (Installed("crypto", "44.0", frozenset([TAG]), above_cap="x.so needs glibc 2.34"), "x.so needs glibc 2.34"),
    ],
)
def test_what_differs_is_reinstalled_with_its_reason(installed: Installed, reason: str) -> None:
    """The right version from the wrong wheel, or damaged, or above the cap, is reinstalled, and the reason is in words."""
    assert (Action.REINSTALL, reason) == (the_step(installed).action, the_step(installed).reason)


def test_a_wheel_of_many_tags_needs_only_its_lowest_glibc() -> None:
    """A wheel tagged for two glibc versions is judged by the lower one."""
    tags = frozenset(f"cp39-abi3-manylinux_2_{minor}_x86_64" for minor in (28, 34))
    assert the_step(Installed("crypto", "44.0", tags)).reason == "its wheel needs glibc 2.28, the cap is 2.27"


def test_two_claims_of_one_name_are_replaced_by_one() -> None:
    """Two .dist-info folders of one project, as a killed installer leaves them, both go."""
    steps = plan([WHEEL], [Installed("crypto", "43.0"), Installed("crypto", "44.0", frozenset([TAG]))], TARGET).steps
    assert steps == (Step(Action.REINSTALL, "crypto", ("43.0", "44.0"), "44.0", "installed 2 times"),)


def test_what_the_lock_does_not_name_is_removed() -> None:
    """Strangers go, unless they are spared by name or all of them are."""
    strangers = [Installed("pip", "24.0"), Installed("extra", "1.0")]
    assert plan([], strangers, TARGET, spare={"pip"}).names(Action.REMOVE) == ["extra"]
    assert plan([], strangers, TARGET, inexact=True).changes == []


def test_steps_are_written_as_installers_write_them() -> None:
    """A removal, an addition and a change of wheel have a sign each; only the last needs its reason."""
    assert Step(Action.INSTALL, "a", (), "2").lines == ["+ a==2"]
    assert Step(Action.REINSTALL, "a", ("1",), "2", "older").lines == ["- a==1", "+ a==2"]
    assert Step(Action.REINSTALL, "a", ("2",), "2", "damaged").lines == ["~ a==2 (damaged)"]
    assert Step(Action.REMOVE, "a", ("1",)).lines == ["- a==1"]


NAMES = st.sampled_from(["a", "b", "c", "d"])
VERSIONS = st.sampled_from(["1", "2"])
WANTED = st.dictionaries(NAMES, VERSIONS)
PRESENT = st.lists(
    st.builds(
        Installed,
        NAMES,
        VERSIONS,
        st.sampled_from([frozenset(), frozenset(["py3-none-any"])]),
        st.sampled_from(["", "sha256:a1", "sha256:b2"]),
        st.sampled_from(["", "damaged"]),
    )
)


@given(WANTED, PRESENT)
def test_following_the_plan_leads_to_the_lock(wanted: dict[str, str], present: list[Installed]) -> None:
    """After the plan's steps the environment is exactly the lock, and the next plan changes nothing."""
    wheels = [
        Wanted(name, version, f"{name}-{version}-py3-none-any.whl", f"sha256:{name}{version}")
        for name, version in wanted.items()
    ]
    steps = plan(wheels, present, TARGET)
    kept = set(steps.names(Action.KEEP))
    after = [each for each in present if each.name in kept]
    arriving = set(steps.names(Action.INSTALL, Action.REINSTALL))
    after += [Installed(w.name, w.version, w.tags, w.digest) for w in wheels if w.name in arriving]
    assert wanted == {each.name: each.version for each in after}
    assert plan(wheels, after, TARGET).changes == []


def test_the_target_is_the_machines_own() -> None:
    """A newer machine gets the target of its Python and architecture; of two caps, the one that runs everywhere."""
    other = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17))
    higher = TARGET._replace(cap=GlibcVersion(2, 34))
    assert choose_target(MACHINE, [other, higher, TARGET]) == TARGET
    assert choose_target(MACHINE, [higher, TARGET], "cp39-x86_64-glibc2.34") == higher


MUSL = Target(PythonVersion(9), "x86_64", MuslVersion(1, 2))


def test_a_machine_has_its_own_c_librarys_target() -> None:
    """Of a target with glibc and one with musl each machine has its own; the name of the other one is refused."""
    alpine = MACHINE._replace(libc=MuslVersion(1, 2))
    assert "cp39-x86_64-musl1.2" == target_name(MUSL)
    assert TARGET == choose_target(MACHINE, [TARGET, MUSL])
    assert MUSL == choose_target(alpine, [TARGET, MUSL])
    with pytest.raises(MachineProblem, match=r"this machine has musl 1\.2, the lock is for glibc"):
        choose_target(alpine, [TARGET, MUSL], "cp39-x86_64-glibc2.27")
    with pytest.raises(MachineProblem, match=r"this machine has musl 1\.1, the lock is for 1\.2") as refused:
        choose_target(MACHINE._replace(libc=MuslVersion(1, 1)), [TARGET, MUSL])
    assert 'set musl = "1.1" in [tool.minglibc]' in refused.value.hint


def test_another_interpreter_may_have_the_right_c_library() -> None:
    """Where the lock has another Python for this C library, another interpreter is looked for."""
    other = MUSL._replace(python=PythonVersion(11))
    with pytest.raises(EnvironmentProblem, match=r"no target for CPython 3\.9\.18") as refused:
        choose_target(MACHINE._replace(libc=MuslVersion(1, 2)), [TARGET, other])
    assert not isinstance(refused.value, MachineProblem)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("cp39-cp39-musllinux_1_3_x86_64", "its wheel needs musl 1.3, the cap is 1.2"),
        ("cp39-cp39-manylinux_2_17_x86_64", "its wheel is for cp39-cp39-manylinux_2_17_x86_64, not for CPython 3.9"),
        ("cp39-cp39-linux_x86_64", "which says nothing of musl"),
        ("cp39-cp39-musllinux_1_1_x86_64", "the lock's for cp39-cp39-musllinux_1_2_x86_64"),
    ],
)
def test_what_another_installer_put_on_a_machine_with_musl(tag: str, said: str) -> None:
    """A wheel for another C library, a newer one or none that is known is installed anew, with the reason."""
    wanted = Wanted("a", "1.0", "a-1.0-cp39-cp39-musllinux_1_2_x86_64.whl", "sha256:0")
    (step,) = plan([wanted], [Installed("a", "1.0", frozenset({tag}))], MUSL).steps
    assert Action.REINSTALL is step.action
    assert said in step.reason


def test_an_exact_patch_release_is_held_to() -> None:
    """A target for 3.9.2 is for no other 3.9."""
    exact = TARGET._replace(python=PythonVersion(9, 2))
    assert target_name(exact) == "cp39.2-x86_64-glibc2.27"
    assert choose_target(MACHINE._replace(python=PythonVersion(9, 2)), [exact]) == exact
    with pytest.raises(EnvironmentProblem):
        choose_target(MACHINE, [exact])


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"libc": GlibcVersion(2, 17)}, "this machine has glibc 2.17, the lock is for 2.27", 'glibc = "2.17"'),
        ({"libc": MuslVersion(1, 2)}, "this machine has musl 1.2, the lock is for glibc", 'add musl = "1.2" to'),
        ({"libc": None}, "this machine does not tell its C library's version", "Linux with glibc or musl"),
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
def test_a_machine_that_the_lock_is_not_for_is_named(change: dict[str, object], message: str, hint: str) -> None:
    """A refusal names the misfit, the lock's targets and what to do."""
    with pytest.raises(EnvironmentProblem) as refused:
        choose_target(MACHINE._replace(**change), [TARGET])  # type: ignore[arg-type]  # a table of fields
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_what_no_other_interpreter_would_change_is_told_apart() -> None:
    """An old glibc is the machine's; another Python is only this interpreter's."""
    with pytest.raises(MachineProblem):
        choose_target(MACHINE._replace(libc=GlibcVersion(2, 17)), [TARGET])
    with pytest.raises(EnvironmentProblem) as refused:
        choose_target(MACHINE._replace(python=PythonVersion(8, 1)), [TARGET])
    assert not isinstance(refused.value, MachineProblem)


def test_an_unknown_target_name_is_a_mistake_of_the_command_line() -> None:
    """--target of a name that the lock does not have lists those that it has."""
    with pytest.raises(SettingsError) as refused:
        choose_target(MACHINE, [TARGET], "cp310-x86_64-glibc2.27")
    assert "cp39-x86_64-glibc2.27" in refused.value.hint


@pytest.mark.parametrize(
    ("requires", "lacking"),
    [
        (["b"], ""),
        (["b>=2"], "b>=2"),
        (["c"], "c"),
        (["c; python_version < '3.8'"], ""),
        (["c; extra == 'x'"], ""),
        (["b>=1", "c>2; python_version == '3.9'"], "c>2"),
        (["!!!"], "!!!"),
        (["ignored>9"], ""),
    ],
)
def test_a_wheel_says_what_it_needs(requires: list[str], lacking: str) -> None:
    """What a wheel requires on the target, and the lock does not have in that version, is named."""
    assert lacking == unmet(requires, {"b": "1.0", "ignored": "1"}, TARGET, {"ignored"})
