"""The explanation of "no" names as few requirements as possible, compared with all sets of requirements of small indexes."""

import itertools
import os
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.resolver import resolve
from tests.support.random_cases import random_case
from tests.support.small_index import TOO_NEW, Case, MemoryIndex, Oracle, Release

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 28))
FIRST = int(os.environ.get("MINGLIBC_TEST_SEED", "0"))


def plain_case(seed: int) -> Case:
    """A random index without extras, pre-releases and yanked releases."""
    case = random_case(seed)
    packages = {
        name: {
            version.removesuffix("rc1"): release._replace(
                requires=tuple(text.replace("[x]", "") for text in release.requires), extras={}, yanked=False
            )
            for version, release in releases.items()
        }
        for name, releases in case.packages.items()
    }
    return Case(packages, tuple(dict.fromkeys(text.replace("[x]", "") for text in case.requires)))


def fewest_requirements(case: Case) -> int | None:
    """The size of a smallest set of requirements that conflict; None where the index has a solution.

    Releases of one package that require the same versions of another have one requirement in common.
    """
    oracle = Oracle(case, TARGET)
    usable = {name: oracle.admitted(name, []) for name in case.packages}
    edges: dict[tuple[str, str, frozenset[str]], set[str]] = {}
    for parent, version, text in _requirements(case):
        requirement = Requirement(text)
        allowed = frozenset(requirement.specifier.filter(case.packages[requirement.name]))
        edges.setdefault((parent, requirement.name, allowed), set()).add(version)
    names = [name for name, versions in usable.items() if versions]
    violated: set[frozenset[int]] = set()
    for chosen in itertools.product(*([None, *usable[name]] for name in names)):
        versions: dict[str, str | None] = {"": "", **dict(zip(names, chosen, strict=True))}
        broken = frozenset(
            number
            for number, ((parent, name, allowed), of) in enumerate(edges.items())
            if versions.get(parent) in of and versions.get(name) not in allowed
        )
        if not broken:
            return None
        violated.add(broken)
    minimal = [broken for broken in violated if not any(other < broken for other in violated)]
    return next(
        size
        for size in range(1, len(edges) + 1)
        if any(
            all(broken & chosen for broken in minimal)
            for chosen in map(frozenset, itertools.combinations(range(len(edges)), size))
        )
    )


def _requirements(case: Case) -> Iterator[tuple[str, str, str]]:
    yield from (("", "", text) for text in case.requires)
    for name, releases in case.packages.items():
        for version, release in releases.items():
            yield from ((name, version, text) for text in release.requires)


def sizes(case: Case) -> tuple[int, int] | None:
    """How many requirements the explanation names, and how many are needed; None where there is a solution."""
    fewest = fewest_requirements(case)
    try:
        resolve(case.roots, TargetCompatibility(TARGET), MemoryIndex(case.packages), patience=5)
    except Unresolvable as failure:
        assert fewest is not None
        return len(failure.causes), fewest
    assert fewest is None
    return None


def check_sizes(seeds: range) -> None:
    """No explanation names two requirements too many, and 2% may name one, as releases are not read only for a message."""
    named = {seed: counts for seed in seeds if (counts := sizes(plain_case(seed))) is not None}
    longer = {seed: (size, fewest) for seed, (size, fewest) in named.items() if size > fewest}
    assert all(size == fewest + 1 for size, fewest in longer.values()), longer
    assert len(longer) <= max(1, len(named) // 50), longer


def test_explanations_are_the_shortest() -> None:
    """Of small random indexes without a solution, nearly all are explained by a smallest set of requirements."""
    check_sizes(range(FIRST, FIRST + 100))


@pytest.mark.nightly
def test_many_explanations_are_the_shortest() -> None:
    """As above, for many more."""
    check_sizes(range(FIRST + 100, FIRST + 3000))


def test_a_requirement_without_a_usable_release_is_the_whole_explanation() -> None:
    """A root whose only release needs a newer glibc is named alone, although another root conflicts first."""
    packages = {
        "a": {"1": Release(("c>1",))},
        "b": {"1": Release(tags=(TOO_NEW,))},
        "c": {"1": Release()},
    }
    with pytest.raises(Unresolvable) as failure:
        resolve(Case(packages, ("a", "b")).roots, TargetCompatibility(TARGET), MemoryIndex(packages))
    assert ["the project requires b"] == [str(cause) for cause in failure.value.causes]
