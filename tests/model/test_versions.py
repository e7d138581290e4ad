"""Versions and specifiers are ordered, normalized and contained as packaging does it, also by the fast paths."""

from collections import Counter

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from minglibc.model import versions
from tests.support.strategies import any_versions, invalid_specifiers, neighbours, releases, specifiers_with_versions


def _sorted(texts: list[str]) -> list[str]:
    distinct = {versions.key(text): text for text in filter(None, map(versions.normalize, texts))}
    return [distinct[key] for key in sorted(distinct)]


@given(any_versions)
def test_normalize_matches_packaging(text: str) -> None:
    """A version's canonical form is packaging's, and None exactly if packaging rejects it."""
    try:
        expected = str(Version(text))
    except InvalidVersion:
        expected = None
    assert expected == versions.normalize(text)


@given(st.data())
def test_order_matches_packaging(data: st.DataObject) -> None:
    """Keys are ordered, and equal, as packaging's versions are, also for versions that are close to each other."""
    left = data.draw(any_versions)
    right = data.draw(any_versions | st.sampled_from(neighbours(left)))
    a, b = Version(left), Version(right)
    assert (a < b, a == b) == (versions.key(left) < versions.key(right), versions.key(left) == versions.key(right))


@given(any_versions)
def test_prerelease_matches_packaging(text: str) -> None:
    """A pre-release is what packaging calls one."""
    assert Version(text).is_prerelease == versions.is_prerelease(str(Version(text)))


def test_containment_matches_packaging() -> None:
    """A mask has exactly the versions that packaging's specifier contains; most examples test the fast path's bounds."""
    reached: Counter[str] = Counter()

    @given(specifiers_with_versions())
    def check(example: tuple[str, list[str]]) -> None:
        specifier, texts = example
        page = versions.Versions(_sorted(texts))
        expected = SpecifierSet(specifier)
        mask = page.mask(specifier)
        contained = [text for text in page if expected.contains(text, prereleases=True)]
        assert contained == [text for i, text in enumerate(page) if mask >> i & 1]
        assert bool(expected.prereleases) == versions.names_prerelease(specifier)
        assert [Version(t).is_prerelease for t in page] == [bool(page.prereleases >> i & 1) for i in range(len(page))]
        is_plain = all(map(versions.is_plain, specifier.split(",")))
        kind = ("fast path" if is_plain else "packaging") + (", some versions" if 0 < mask < page.all else "")
        reached[kind] += 1
        event(kind)

    check()
    assert reached["fast path"] + reached["fast path, some versions"] > reached.total() / 2, reached
    # Hypothesis draws with very uneven weights, so this share varies; it is usually more than half.
    assert reached["fast path, some versions"] > reached.total() / 5, reached


@pytest.mark.parametrize("operator", ["~=", "==", "!=", "<", "<=", ">", ">="])
def test_every_operator_matches_packaging_at_its_bounds(operator: str) -> None:
    """Each operator of the fast path agrees with packaging on all versions around its bounds."""
    for version in ("1.2", "1.0", "0.9.1", "2.0rc1", "1.4.post1", "1.2.dev3", "2.0rc1.dev2", "1.2.post1.dev0"):
        specifier = f"{operator}{version}"
        assert versions.is_plain(specifier)
        page = versions.Versions(_sorted(neighbours(version)))
        expected = [SpecifierSet(specifier).contains(text, prereleases=True) for text in page]
        assert expected == [bool(page.mask(specifier) >> i & 1) for i in range(len(page))], specifier


@given(invalid_specifiers)
def test_invalid_specifiers_are_rejected(specifier: str) -> None:
    """What packaging rejects is a ValueError."""
    with pytest.raises(InvalidSpecifier):
        SpecifierSet(specifier)
    with pytest.raises(ValueError, match="not a version specifier"):
        versions.Versions(["1.0"]).mask(specifier)


@given(releases, st.lists(any_versions, max_size=12))
def test_prefixes_match_packaging(release: str, texts: list[str]) -> None:
    """``==1.2.*`` and ``!=1.2.*`` contain what packaging says, whatever the zeros."""
    page = versions.Versions(_sorted([*texts, *neighbours(release)]))
    for operator in ("==", "!="):
        expected = SpecifierSet(f"{operator}{release}.*")
        mask = page.mask(str(expected))
        assert [expected.contains(t, prereleases=True) for t in page] == [bool(mask >> i & 1) for i in range(len(page))]
