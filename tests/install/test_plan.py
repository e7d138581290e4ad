"""The plan of changes for an environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.install.plan import Action, Installed, Step, Wanted, plan, unmet
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))
MUSL = Target(PythonVersion(9), "x86_64", MuslVersion(1, 2))
TAG = "cp39-abi3-manylinux_2_17_x86_64"
WHEEL = Wanted("crypto", "44.0", f"crypto-44.0-{TAG}.whl", "sha256:aa")


def step_for(installed: Installed) -> Step:
    """The step for *installed* when WHEEL is locked."""
    (step,) = plan([WHEEL], [installed], TARGET).steps
    return step


def test_missing_distribution_is_installed() -> None:
    """A locked distribution that is not installed is installed."""
    assert plan([WHEEL], [], TARGET).steps == (Step(Action.INSTALL, "crypto", (), "44.0", "not installed"),)


def test_locked_file_is_kept() -> None:
    """A distribution installed from the locked file is kept, whatever its tags."""
    assert step_for(Installed("crypto", "44.0", frozenset(), "sha256:aa")).action is Action.KEEP


def test_versions_are_compared_by_value() -> None:
    """METADATA's 44.0.0 and 44 equal the lock's 44.0; an invalid version does not."""
    for spelling in ("44", "44.0.0", "v44.0"):
        assert step_for(Installed("crypto", spelling, frozenset([TAG]))).action is Action.KEEP
    assert step_for(Installed("crypto", "44.0-custom!", frozenset([TAG]))).action is Action.REINSTALL


def test_same_tags_from_another_installer_are_kept() -> None:
    """A distribution from another installer is kept if its tags are those of the locked wheel."""
    assert step_for(Installed("crypto", "44.0", frozenset([TAG]))).action is Action.KEEP


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
            "built for cp39-cp39-linux_x86_64, which does not specify a glibc version",
        ),
        (
            Installed("crypto", "44.0", frozenset(["cp39-cp39-win_amd64"])),
            "its wheel is for cp39-cp39-win_amd64, not for CPython 3.9 on x86_64 with glibc 2.27",
        ),
        (Installed("crypto", "44.0"), "it has no wheel tags"),
        (Installed("crypto", "44.0", digest="sha256:bb"), "installed from another file than the lock's"),
        (Installed("crypto", "44.0", frozenset([TAG]), direct_url="file:///src"), "installed from file:///src"),
        (Installed("crypto", "44.0", frozenset([TAG]), "sha256:aa", damage="it has no METADATA"), "it has no METADATA"),
        (Installed("crypto", "44.0", frozenset([TAG]), damage="its file x.py is missing"), "its file x.py is missing"),
        (Installed("crypto", "44.0", frozenset([TAG]), above_cap="x.so needs glibc 2.34"), "x.so needs glibc 2.34"),
    ],
)
def test_other_distributions_are_reinstalled_with_a_reason(installed: Installed, reason: str) -> None:
    """The right version from another wheel, damaged, or above the cap is reinstalled, with the reason."""
    assert (Action.REINSTALL, reason) == (step_for(installed).action, step_for(installed).reason)


def test_lowest_glibc_of_several_tags_counts() -> None:
    """A wheel tagged for two glibc versions needs the lower one."""
    tags = frozenset(f"cp39-abi3-manylinux_2_{minor}_x86_64" for minor in (28, 34))
    assert step_for(Installed("crypto", "44.0", tags)).reason == "its wheel needs glibc 2.28, the cap is 2.27"


def test_duplicate_distributions_are_replaced() -> None:
    """Two .dist-info folders of one project, as a killed installer leaves them, are both removed."""
    steps = plan([WHEEL], [Installed("crypto", "43.0"), Installed("crypto", "44.0", frozenset([TAG]))], TARGET).steps
    assert steps == (Step(Action.REINSTALL, "crypto", ("43.0", "44.0"), "44.0", "installed 2 times"),)


def test_unlocked_distributions_are_removed() -> None:
    """Unlocked distributions are removed unless they are spared by name or all are kept."""
    unlocked = [Installed("pip", "24.0"), Installed("extra", "1.0")]
    assert plan([], unlocked, TARGET, spare={"pip"}).names(Action.REMOVE) == ["extra"]
    assert plan([], unlocked, TARGET, inexact=True).changes == []


def test_lines_of_steps() -> None:
    """Removals, additions and reinstallations have a sign one; only the last has a reason."""
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


@pytest.mark.slow
@given(WANTED, PRESENT)
def test_plan_leads_to_the_lock(wanted: dict[str, str], present: list[Installed]) -> None:
    """After the plan's steps the environment equals the lock, and the next plan changes nothing."""
    wheels = [
        Wanted(name, version, f"{name}-{version}-py3-none-any.whl", f"sha256:{name}{version}")
        for name, version in wanted.items()
    ]
    steps = plan(wheels, present, TARGET)
    kept = set(steps.names(Action.KEEP))
    after = [one for one in present if one.name in kept]
    arriving = set(steps.names(Action.INSTALL, Action.REINSTALL))
    after += [Installed(w.name, w.version, w.tags, w.digest) for w in wheels if w.name in arriving]
    assert wanted == {one.name: one.version for one in after}
    assert plan(wheels, after, TARGET).changes == []


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("cp39-cp39-musllinux_1_3_x86_64", "its wheel needs musl 1.3, the cap is 1.2"),
        ("cp39-cp39-manylinux_2_17_x86_64", "its wheel is for cp39-cp39-manylinux_2_17_x86_64, not for CPython 3.9"),
        ("cp39-cp39-linux_x86_64", "which does not specify a musl version"),
        ("cp39-cp39-musllinux_1_1_x86_64", "the lock's for cp39-cp39-musllinux_1_2_x86_64"),
    ],
)
def test_wheels_for_other_c_libraries_are_reinstalled_on_musl(tag: str, reason: str) -> None:
    """A wheel for another C library, a newer version or an unknown one is reinstalled, with the reason."""
    wanted = Wanted("a", "1.0", "a-1.0-cp39-cp39-musllinux_1_2_x86_64.whl", "sha256:0")
    (step,) = plan([wanted], [Installed("a", "1.0", frozenset({tag}))], MUSL).steps
    assert Action.REINSTALL is step.action
    assert reason in step.reason


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
def test_first_unmet_requirement(requires: list[str], lacking: str) -> None:
    """The first requirement that applies to the target and that the lock does not meet is returned."""
    assert lacking == unmet(requires, {"b": "1.0", "ignored": "1"}, TARGET, {"ignored"})
