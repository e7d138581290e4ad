"""The bulk answers of minglibc.versions are packaging's answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from minglibc.model import versions

_number = st.integers(0, 12).map(str)
_release = st.lists(_number, min_size=1, max_size=4).map(".".join)
_padded = st.lists(_number | st.sampled_from(["00", "03", "010"]), min_size=1, max_size=3).map(".".join)
_optional = st.sampled_from
plain_versions = st.builds(
    "{}{}{}{}{}{}".format,
    _optional(["", "", "", "1!"]),
    _release,
    _optional(["", "", "a0", "a1", "b2", "rc1", "rc10"]),
    _optional(["", "", ".post0", ".post1", ".post11"]),
    _optional(["", "", ".dev0", ".dev3"]),
    _optional(["", "", "", "+l", "+l.1", "+1", "+1.2.a"]),
)
odd_versions = st.builds(
    "{}{}{}{}".format,
    _optional(["", "v", "0!"]),
    _release | _padded,
    _optional(["", "-1", "_rc_1", "ALPHA", "-beta.2", "a.0", ".b.1", "c3", ".pre", "rev2", "01", "a01"]),
    _optional(["", "dev", "dev2", ".dev", "-dev-1", "+LOCAL_x-01"]),
)
any_versions = plain_versions | odd_versions
_clause = st.builds(
    "{}{}{}".format, _optional(["==", "!=", "<=", ">=", "<", ">", "~=", "==="]), any_versions, _optional(["", "", ".*"])
)
specifiers = st.lists(_clause, min_size=1, max_size=3).map(",".join)


def _sorted(texts: list[str]) -> list[str]:
    distinct = {versions.key(text): text for text in filter(None, map(versions.normalize, texts))}
    return [distinct[key] for key in sorted(distinct)]


@given(any_versions)
def test_normalize_is_packagings(text: str) -> None:
    """A version's canonical form is packaging's, and None exactly where packaging refuses."""
    try:
        expected = str(Version(text))
    except InvalidVersion:
        expected = None
    assert expected == versions.normalize(text)


@given(any_versions, any_versions)
def test_order_is_packagings(left: str, right: str) -> None:
    """Keys are ordered, and equal, as packaging's versions are."""
    a, b = Version(left), Version(right)
    assert (a < b, a == b) == (versions.key(left) < versions.key(right), versions.key(left) == versions.key(right))


@given(any_versions)
def test_prerelease_is_packagings(text: str) -> None:
    """A pre-release is what packaging calls one."""
    assert Version(text).is_prerelease == versions.is_prerelease(str(Version(text)))


@given(st.lists(any_versions, max_size=12), specifiers)
def test_containment_is_packagings(texts: list[str], specifier: str) -> None:
    """A mask holds exactly the versions that packaging's specifier contains, and a bad specifier is refused by both."""
    page = versions.Versions(_sorted(texts))
    try:
        expected = SpecifierSet(specifier)
    except InvalidSpecifier:
        with pytest.raises(ValueError, match="not a version specifier"):
            page.mask(specifier)
        return
    mask = page.mask(specifier)
    contained = [text for text in page if expected.contains(text, prereleases=True)]
    assert contained == [text for i, text in enumerate(page) if mask >> i & 1]
    assert bool(expected.prereleases) == versions.names_prerelease(specifier)
    assert [Version(t).is_prerelease for t in page] == [bool(page.prereleases >> i & 1) for i in range(len(page))]


@given(st.lists(_number, min_size=1, max_size=3).map(".".join), st.lists(any_versions, max_size=12))
def test_prefixes_are_packagings(release: str, texts: list[str]) -> None:
    """``==1.2.*`` and ``!=1.2.*`` hold what packaging says, whatever the zeros."""
    page = versions.Versions(_sorted(texts))
    for operator in ("==", "!="):
        expected = SpecifierSet(f"{operator}{release}.*")
        mask = page.mask(str(expected))
        assert [expected.contains(t, prereleases=True) for t in page] == [bool(mask >> i & 1) for i in range(len(page))]
