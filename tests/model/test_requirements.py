"""Requirements and markers are read as packaging reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement as PackagingInvalid
from packaging.requirements import Requirement as PackagingRequirement

from minglibc.model import requirements
from minglibc.model.targets import GlibcVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))

_names = st.sampled_from(["a", "Zope.Interface", "foo_bar", "x-", "-x", "a--b", "a1", ""])
_specifiers = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["==", ">=", "<", " ~= ", "!=", "===", "=", ""]),
        st.sampled_from(["1", "1.0", "2.0a1", "6.0dev", "2.0.dev3", "1.*", "1.0.post1", "v1", "1.0+l", "01"]),
        st.sampled_from(["", "", " "]),
    ),
    max_size=3,
).map(",".join)
_atoms = st.builds(
    "{} {} {}".format,
    st.sampled_from(["python_version", "python_full_version", "sys_platform", "os_name", "platform_machine", "extra",
                     "platform_release", "implementation_name", "bogus", "'3.9'", "os.name"]),
    st.sampled_from(["==", "!=", "<", ">=", "in", "not in", "~=", "===", "="]),
    st.sampled_from(["'3.9'", '"3.10"', "'3.9.2'", "'3.*'", "'linux'", "'win32'", "'X_y'", "'x-y'", "'x86_64'", "''", "3", "os_name",
                     "'3.9, 3.10'"]),
)  # fmt: skip
markers = st.recursive(
    _atoms,
    lambda inner: st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner) | inner.map("({})".format),
    max_leaves=5,
)


@given(_names, st.sampled_from(["", "[x]", "[X_y, z]", "[]", "[", "[,]"]), _specifiers, st.booleans())
def test_requirement_is_packagings(name: str, extras: str, specifier: str, paren: bool) -> None:  # noqa: FBT001  Hypothesis gives it
    """The name, extras and specifier are packaging's, and what packaging refuses is refused."""
    text = f"{name}{extras} ({specifier})" if paren and specifier else f"{name}{extras} {specifier}"
    try:
        expected = PackagingRequirement(text)
    except PackagingInvalid:
        with pytest.raises(requirements.InvalidRequirement):
            requirements.parse(text)
        return
    found = requirements.parse(text)
    assert requirements.normalize_name(expected.name) == found.name
    assert {requirements.normalize_name(extra) for extra in expected.extras} == set(found.extras)
    assert expected.specifier == PackagingRequirement(f"a{found.specifier}").specifier
    assert found == requirements.parse(found.text)


@given(markers, st.sampled_from(["", "x-y", "z"]))
def test_marker_is_packagings(marker: str, extra: str) -> None:
    """A marker is true for a target exactly where packaging says so, and refused where packaging refuses it."""
    environment = requirements.Environment(TARGET.environment)
    try:
        expected = Marker(marker).evaluate({**TARGET.environment, "extra": extra})
    except (InvalidMarker, UndefinedEnvironmentName, UndefinedComparison):
        with pytest.raises(requirements.InvalidRequirement):
            environment.admits(marker, extra)
        return
    assert expected == environment.admits(marker, extra)


@given(markers, st.sampled_from(["", "x-y", "z"]), st.sampled_from([(9, "x86_64"), (13, "aarch64")]))
def test_what_no_target_admits_is_left_out(marker: str, extra: str, kind: tuple[int, str]) -> None:
    """Where a marker is said to be false for all targets, no target admits it, and it is a marker."""
    if requirements.may_admit(marker, extra):
        return
    minor, architecture = kind
    target = Target(PythonVersion(minor), architecture, GlibcVersion(2, 27))
    assert not requirements.Environment(target.environment).admits(marker, extra)


def test_extras_alone_decide_what_no_target_admits() -> None:
    """A marker that wants another extra than the one that is asked for is false for all targets, and no other is."""
    assert not requirements.may_admit("extra == 'x' and python_version < '3'", "y")
    assert not requirements.may_admit("python_version < '3' and (extra == 'x' or extra == 'z')", "")
    assert requirements.may_admit("extra == 'x' and python_version < '3'", "x")
    assert requirements.may_admit("extra == 'x' or python_version < '3'", "y")
    assert requirements.may_admit("", "")


def test_blanks_after_a_marker_are_no_part_of_it() -> None:
    """A requirement's marker ends where its text does, whatever blanks follow."""
    assert "os_name == 'posix'" == requirements.parse("a>=1 ; os_name == 'posix' \t").marker


def test_direct_reference_keeps_its_address() -> None:
    """``name @ URL`` keeps the URL and its marker."""
    found = requirements.parse("Foo[x] @ https://example.invalid/foo-1.0-py3-none-any.whl ; python_version > '3'")
    expected = ("foo", ("x",), "https://example.invalid/foo-1.0-py3-none-any.whl")
    assert expected == (found.name, found.extras, found.url)
    assert found == requirements.parse(found.text)
