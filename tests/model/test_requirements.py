"""Requirements and markers are parsed and evaluated as packaging does it, also by the fast paths."""

from collections import Counter
from unittest import mock

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement as PackagingInvalid
from packaging.requirements import Requirement as PackagingRequirement

from minglibc.model import requirements
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from tests.support.strategies import specifiers as valid_specifiers

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))

# Half of these comparisons are true for TARGET, so that "and" and "or" give different results.
_versions = st.builds(
    "{} {} '{}'".format,
    st.sampled_from(["python_version", "python_full_version", "implementation_version"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(["3.8", "3.9", "3.10", "3.9.25", "3.9.2", "3", "4"]),
)
_prefixes = st.builds(
    "python_version {} '{}.*'".format, st.sampled_from(["==", "!="]), st.sampled_from(["3", "3.9", "3.1"])
)
_strings = st.builds(
    '{} {} "{}"'.format,
    st.sampled_from(["sys_platform", "os_name", "platform_machine", "platform_system", "implementation_name"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["linux", "Linux", "posix", "x86_64", "cpython", "win32"]),
)
_extras = st.builds("extra {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["x-y", "X_y", "z"]))
plain_atoms = st.one_of(_versions, _prefixes, _strings, _extras)
# Valid as well, but left to packaging.
odd_atoms = st.sampled_from(
    ["'3.9' in python_version", "python_version in '3.9, 3.10'", "python_version ~= '3.8'", "'linux' == sys_platform",
     "platform_release == ''", "sys_platform > 'a'", "os.name == 'posix'"]
)  # fmt: skip
invalid_atoms = st.sampled_from(
    ["bogus == '1'", "python_version = '3.9'", "python_version == 3", "os_name", "python_version == '3.9", "()"]
)


def compound(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Markers of *atoms*, joined and grouped."""
    return st.recursive(
        atoms,
        lambda inner: (
            st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner) | inner.map("({})".format)
        ),
        max_leaves=5,
    )


markers = st.one_of(*3 * [compound(plain_atoms)], compound(plain_atoms | odd_atoms))
names = st.sampled_from(["a", "Zope.Interface", "foo_bar", "a--b", "a1"])
requirement_specifiers = st.just("") | valid_specifiers | valid_specifiers.map("({})".format)
extras = st.sampled_from(["", "[x]", "[X_y, z]", "[]", " [ x ] "])


def test_requirements_match_packaging() -> None:
    """Name, extras, specifier and marker are packaging's; most examples are read by the fast path."""
    reached: Counter[bool] = Counter()
    parse = requirements.parse.__wrapped__

    @given(names, extras, requirement_specifiers, st.just("") | markers, st.sampled_from(["", " "]))
    def check(name: str, listed: str, specifier: str, marker: str, blank: str) -> None:
        text = f"{name}{listed}{blank}{specifier}{f'{blank}; {marker}' if marker else ''}{blank}"
        expected = PackagingRequirement(text)
        with mock.patch.object(requirements, "_parse_by_packaging", wraps=requirements._parse_by_packaging) as slow:
            parsed = parse(text)
        assert requirements.normalize_name(expected.name) == parsed.name
        assert {requirements.normalize_name(extra) for extra in expected.extras} == set(parsed.extras)
        assert expected.specifier == PackagingRequirement(f"a{parsed.specifier}").specifier
        assert str(expected.marker or "") == str(Marker(parsed.marker) if parsed.marker else "")
        assert parsed == parse(parsed.text)
        reached[not slow.called] += 1
        event("packaging" if slow.called else "fast path")

    check()
    assert reached[True] > reached.total() / 2, reached


@given(
    st.sampled_from(["a", "-x", "x-", ""]),
    st.sampled_from(["", "[x", "[", "[,]", "[-]"]),
    st.sampled_from(["", "=1", "1", ">=", "==1.*.1", "~=1", ">=1,", "(>=1", "== 1 2"]),
    st.sampled_from(["", ";", "; bogus"]),
)
def test_invalid_requirements_match_packaging(name: str, listed: str, specifier: str, marker: str) -> None:
    """What packaging rejects is rejected when it is parsed, or when its marker is evaluated."""
    text = f"{name}{listed}{specifier}{marker}"
    try:
        PackagingRequirement(text)
    except PackagingInvalid:
        with pytest.raises(requirements.InvalidRequirement):
            requirements.Environment(TARGET.environment).admits(requirements.parse(text).marker)
        return
    requirements.parse(text)


def test_markers_match_packaging() -> None:
    """A marker is true for a target exactly if packaging says so; most examples are compound and use the fast path."""
    reached: Counter[str] = Counter()

    @given(markers, st.sampled_from(["", "x-y", "z"]))
    def check(marker: str, extra: str) -> None:
        environment = requirements.Environment(TARGET.environment)
        expected = Marker(marker).evaluate({**TARGET.environment, "extra": extra})
        assert expected == environment.admits(marker, extra)
        is_fast = requirements._tree(marker) is not None
        kind = "packaging" if not is_fast else "compound" if " and " in marker or " or " in marker else "single"
        reached[kind] += 1
        reached[str(expected)] += 1
        event(kind)

    check()
    total = reached["packaging"] + reached["compound"] + reached["single"]
    assert reached["compound"] + reached["single"] > total / 2, reached
    assert reached["compound"] > total / 10, reached
    assert min(reached["True"], reached["False"]) > total / 10, reached


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("os_name == 'posix' and os_name == 'nt'", False),
        ("os_name == 'posix' or os_name == 'nt'", True),
        ("os_name == 'nt' and os_name == 'nt' or os_name == 'posix'", True),
        ("os_name == 'nt' and (os_name == 'nt' or os_name == 'posix')", False),
        ("os_name == 'posix' or os_name == 'posix' and os_name == 'nt'", True),
    ],
)
def test_and_and_or(marker: str, expected: bool) -> None:  # noqa: FBT001  a table's column
    """Both operators, their precedence and parentheses are evaluated by the fast path."""
    assert requirements._tree(marker) is not None
    assert expected == requirements.Environment(TARGET.environment).admits(marker)


@given(compound(plain_atoms | odd_atoms | invalid_atoms), st.sampled_from(["", "x-y", "z"]))
def test_invalid_markers_match_packaging(marker: str, extra: str) -> None:
    """A marker that packaging rejects is rejected."""
    environment = requirements.Environment(TARGET.environment)
    try:
        expected = Marker(marker).evaluate({**TARGET.environment, "extra": extra})
    except (InvalidMarker, UndefinedEnvironmentName, UndefinedComparison):
        with pytest.raises(requirements.InvalidRequirement):
            environment.admits(marker, extra)
        return
    assert expected == environment.admits(marker, extra)


@given(
    compound(_extras | plain_atoms),
    st.sampled_from(["", "x-y", "z"]),
    st.sampled_from([(9, "x86_64"), (13, "aarch64")]),
)
def test_markers_that_are_false_for_all_targets(marker: str, extra: str, kind: tuple[int, str]) -> None:
    """If a marker is said to be false for all targets, it is false for each of them."""
    may_admit = requirements.may_admit(marker, extra)
    event(f"may admit: {may_admit}")
    minor, architecture = kind
    target = Target(PythonVersion(minor), architecture, GlibcVersion(2, 27))
    assert may_admit or not requirements.Environment(target.environment).admits(marker, extra)


def test_only_extras_make_a_marker_false_for_all_targets() -> None:
    """A marker for another extra than the requested one is false for all targets; other markers are not."""
    assert not requirements.may_admit("extra == 'x' and python_version < '3'", "y")
    assert not requirements.may_admit("python_version < '3' and (extra == 'x' or extra == 'z')", "")
    assert requirements.may_admit("extra == 'x' and python_version < '3'", "x")
    assert requirements.may_admit("extra == 'x' or python_version < '3'", "y")
    assert requirements.may_admit("", "")


def test_whitespace_after_a_marker_is_removed() -> None:
    """A requirement's marker has no trailing whitespace."""
    assert "os_name == 'posix'" == requirements.parse("a>=1 ; os_name == 'posix' \t").marker


def test_direct_reference_keeps_its_url() -> None:
    """``name @ URL`` keeps the URL and its marker."""
    parsed = requirements.parse("Foo[x] @ https://example.invalid/foo-1.0-py3-none-any.whl ; python_version > '3'")
    expected = ("foo", ("x",), "https://example.invalid/foo-1.0-py3-none-any.whl")
    assert expected == (parsed.name, parsed.extras, parsed.url)
    assert parsed == requirements.parse(parsed.text)
