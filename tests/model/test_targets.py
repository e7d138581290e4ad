"""The tag generator gives what packaging gives for a machine with exactly that glibc, and keeps its laws."""

import itertools
import json
import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging import _manylinux, _musllinux, tags

from minglibc.errors import TargetError
from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import (
    NEWEST_PYTHON,
    OLDEST_PYTHON,
    Cap,
    GlibcVersion,
    MuslVersion,
    PythonVersion,
    Target,
    check_architecture,
    check_cap,
    compatible_tags,
    oldest_glibc,
    platform_tags,
    tag_ranks,
)
from tests.support.commands import minglibc

GLIBCS = [GlibcVersion(2, minor) for minor in range(5, 46)]
MUSLS = [MuslVersion(1, minor) for minor in range(4)]
PYTHONS = [PythonVersion(minor) for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1)]
PYTHONS += [PythonVersion(minor, free_threaded=True) for minor in range(13, NEWEST_PYTHON + 1)]

architectures = st.sampled_from(sorted(ARCHITECTURES))
glibcs = st.sampled_from(GLIBCS)
musls = st.sampled_from(MUSLS)
targets = st.builds(Target, st.sampled_from(PYTHONS), architectures, glibcs | musls)


def _packagings_platforms(architecture: str, cap: Cap) -> list[str]:
    """What packaging lists on a machine of *architecture* whose C library is *cap*."""
    if isinstance(cap, MuslVersion):
        with mock.patch.object(_musllinux, "_get_musl_version", return_value=_musllinux._MuslVersion(*cap)):
            return list(_musllinux.platform_tags([architecture]))
    with (
        mock.patch.object(_manylinux, "_get_glibc_version", return_value=tuple(cap)),
        mock.patch.object(_manylinux, "_have_compatible_abi", return_value=True),
        mock.patch.object(_manylinux, "_is_compatible", side_effect=lambda _, version: version <= cap),
    ):
        return list(_manylinux.platform_tags([architecture]))


def _abi(python: PythonVersion) -> str:
    suffix = "t" if python.free_threaded else "m" if python.minor < 8 else ""
    return f"cp3{python.minor}{suffix}"


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=[] if name == "x86_64" else pytest.mark.slow) for name in sorted(ARCHITECTURES)],
)
def test_tags_match_packaging(architecture: str) -> None:
    """For every glibc from 2.5 to 2.45, every musl and every CPython, the ordered tags are those of packaging.tags."""
    compared = 0
    caps: list[Cap] = [*GLIBCS, *MUSLS]
    for cap in caps:
        platforms = _packagings_platforms(architecture, cap)
        assert platforms == platform_tags(architecture, cap)
        # Without a platform packaging falls back to the host's own; a cap below the floor is refused before.
        for python in PYTHONS if platforms else ():
            version = (3, python.minor)
            expected = itertools.chain(
                tags.cpython_tags(version, [_abi(python)], platforms),
                tags.compatible_tags(version, f"cp3{python.minor}", platforms),
            )
            assert [str(tag) for tag in expected] == list(compatible_tags(Target(python, architecture, cap)))
            compared += 1
    assert compared > len(PYTHONS) * 28


@given(st.sampled_from(PYTHONS), architectures, st.tuples(glibcs, glibcs) | st.tuples(musls, musls))
def test_raising_the_cap_only_adds_tags(python: PythonVersion, architecture: str, caps: tuple[Cap, Cap]) -> None:
    """A target with a higher cap has all tags of the lower one, in the same order."""
    older, newer = (compatible_tags(Target(python, architecture, cap)) for cap in sorted(caps))
    assert list(older) == [tag for tag in newer if tag in set(older)]


@given(targets)
def test_every_tag_is_within_the_cap(target: Target) -> None:
    """No tag needs more than the cap, names the other C library, or is a plain linux tag."""
    for tag in compatible_tags(target):
        needs = lowest_libcs(tag)
        assert not needs or [target.cap.libc] == list(needs)
        assert all(cap <= target.cap for cap in needs.values())
        assert tag.endswith("-any") or needs


@given(st.sampled_from(PYTHONS), architectures, glibcs, musls)
def test_glibc_and_musl_share_platform_independent_tags(
    python: PythonVersion, architecture: str, glibc: GlibcVersion, musl: MuslVersion
) -> None:
    """Two machines that differ in their C library accept the same pure wheels, in one order, and nothing else together."""
    on_glibc, on_musl = (compatible_tags(Target(python, architecture, cap)) for cap in (glibc, musl))
    shared = [tag for tag in on_musl if tag in set(on_glibc)]
    assert [tag for tag in on_glibc if tag.endswith("-any")] == shared
    assert on_musl[-len(shared) :] == tuple(shared)


@given(targets, glibcs | musls)
def test_raised_target_has_the_same_kind(target: Target, cap: Cap) -> None:
    """`raised` never lowers the cap, and does not change a target with the other C library."""
    raised = target.raised(cap)
    assert target.kind == raised.kind
    assert (max(cap, target.cap) if cap.libc == target.cap.libc else target.cap) == raised.cap
    assert target.uncapped.cap >= target.cap


@given(targets)
def test_ranks_are_positions(target: Target) -> None:
    """A tag's rank is its position; a plain linux tag, if allowed, is the last of its platforms."""
    assert dict(zip(compatible_tags(target), itertools.count(), strict=False)) == tag_ranks(target)
    admitted = tag_ranks(target, linux=True)
    own = f"cp3{target.python.minor}-{_abi(target.python)}"
    linux = admitted[f"{own}-linux_{target.architecture}"]
    assert all(
        rank < linux for tag, rank in admitted.items() if tag.startswith((f"{own}-manylinux", f"{own}-musllinux"))
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.27", (2, 27)),
        ("manylinux_2_28", (2, 28)),
        ("manylinux2014", (2, 17)),
        ("manylinux1", (2, 5)),
        ("2.100", (2, 100)),
    ],
)
def test_parse_glibc(text: str, expected: tuple[int, int]) -> None:
    """A glibc version is a number, a manylinux tag or a legacy manylinux name."""
    assert expected == GlibcVersion.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "2.x",
        "2",
        "2.17.1",
        "v2.17",
        " 2.17",
        "\uff12.17",
        "",
        "3.0",
        "2.017",
        "2." + 5000 * "1",
        "manylinux3",
        "musllinux_1_2",
    ],
)
def test_invalid_glibc(text: str) -> None:
    """Other texts raise TargetError."""
    with pytest.raises(TargetError):
        GlibcVersion.parse(text)


@pytest.mark.parametrize(("text", "expected"), [("1.2", (1, 2)), ("musllinux_1_1", (1, 1)), ("1.10", (1, 10))])
def test_parse_musl(text: str, expected: tuple[int, int]) -> None:
    """A musl version is a number or a musllinux tag."""
    assert expected == MuslVersion.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2.17", "2.x is glibc's"),
        ("3.0", "every release is 1.x"),
        ("1.2.3", 'write "1.2"'),
        ("1", 'write "1.2"'),
        ("manylinux_2_17", 'write "1.2" or "musllinux_1_2"'),
        ("1.\uff12", 'write "1.2"'),
        ("1.02", 'write "1.2"'),
        ("", 'write "1.2"'),
    ],
)
def test_invalid_musl(text: str, message: str) -> None:
    """Other texts raise TargetError; for a glibc version, the message says so."""
    with pytest.raises(TargetError, match=re.escape(message)):
        MuslVersion.parse(text)


def test_musl_version_as_glibc() -> None:
    """For a musl version given as glibc, the message says so."""
    with pytest.raises(TargetError, match=r"1\.x is musl's"):
        GlibcVersion.parse("1.2")


@pytest.mark.parametrize("text", ["3", "2.7", "3.99", "3.5", ">=3.9", "3.12t", "3.9 ", "cp39", ""])
def test_invalid_python(text: str) -> None:
    """Python versions for which there are no wheels raise TargetError."""
    with pytest.raises(TargetError):
        PythonVersion.parse(text)


def test_minor_version_is_its_newest_patch() -> None:
    """``3.9`` is evaluated as 3.9.25, and ``3.9.2`` as 3.9.2."""
    assert ["3.9.25", "3.9.2"] == [PythonVersion.parse(text).full for text in ("3.9", "3.9.2")]


def test_oldest_glibc_of_architectures() -> None:
    """A cap below the first glibc of an architecture raises TargetError with that version."""
    assert GlibcVersion(2, 36) == oldest_glibc("loongarch64")
    for architecture, cap in (("aarch64", (2, 12)), ("riscv64", (2, 17)), ("x86_64", (2, 4))):
        with pytest.raises(TargetError, match=str(oldest_glibc(architecture))):
            check_cap(GlibcVersion(*cap), architecture)
    for architecture, musl, first in (("x86_64", MuslVersion(1, 0), "1.1"), ("loongarch64", MuslVersion(1, 1), "1.2")):
        with pytest.raises(TargetError, match=re.escape(f"from musl {first} on")):
            check_cap(musl, architecture)


def test_other_names_of_architectures() -> None:
    """For amd64, the message suggests the name that wheels use."""
    with pytest.raises(TargetError, match="it is called x86_64 here"):
        check_architecture("amd64")


def test_environment_is_complete() -> None:
    """All marker variables are set, and none is that of the host."""
    from packaging.markers import default_environment  # noqa: PLC0415

    environment = Target(PythonVersion(9), "aarch64", GlibcVersion(2, 17)).environment
    assert set(default_environment()) == set(environment)
    assert "aarch64" == environment["platform_machine"]
    assert ("3.9", "3.9.25") == (environment["python_version"], environment["python_full_version"])


def test_tags_command() -> None:
    """`tags` prints the tags of the target that the options describe, as lines or as JSON."""
    ran = minglibc("tags", "--python", "3.9", "--arch", "aarch64", "--glibc", "2.17")
    assert "cp39-cp39-manylinux_2_17_aarch64" == ran.out.splitlines()[0]
    rows = json.loads(minglibc("tags", "--python", "3.9", "--arch", "aarch64", "--glibc", "2.17", "--json").out)
    assert ran.out.splitlines() == rows[0]["tags"]
    assert ("3.9", "aarch64", "2.17") == (rows[0]["python"], rows[0]["architecture"], rows[0]["glibc"])


def test_tags_command_with_musl() -> None:
    """`tags --musl` prints musllinux tags; with --glibc as well, the tags of two targets."""
    ran = minglibc("tags", "--python", "3.9", "--musl", "1.2")
    assert "cp39-cp39-musllinux_1_2_x86_64" == ran.out.splitlines()[0]
    assert "manylinux" not in ran.out
    both = json.loads(minglibc("tags", "--python", "3.9", "--musl", "1.2", "--glibc", "2.17", "--json").out)
    assert [("2.17", None), (None, "1.2")] == [(row.get("glibc"), row.get("musl")) for row in both]
