"""Small random indexes, each against all of its answers: no false "no", no invalid answer, no root that could be raised."""

import os
from collections.abc import Callable, Mapping
from itertools import islice
from random import Random

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.resolver import resolve
from tests.support.parameters import one_in
from tests.support.random_cases import random_case, varied_case
from tests.support.small_index import Answer, Case, MemoryIndex, Oracle

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 28))
NEWER = Target(PythonVersion(12), "x86_64", GlibcVersion(2, 39))
TARGETS = (
    TARGET,
    Target(PythonVersion(11), "x86_64", GlibcVersion(2, 39)),
    Target(PythonVersion(11), "aarch64", GlibcVersion(2, 39)),
    NEWER,
    Target(PythonVersion(12), "aarch64", GlibcVersion(2, 28)),
)
FIRST = int(os.environ.get("MINGLIBC_TEST_SEED", "0"))


def resolved(case: Case, preferences: Mapping[str, str] = {}) -> Answer | None:
    """The resolver's versions; None for "no"."""
    compatibility = TargetCompatibility(TARGET)
    try:
        answer = resolve(
            case.roots,
            compatibility,
            MemoryIndex(case.packages),
            preferences=preferences,
            policy=case.policy,
            patience=5,
        )
    except Unresolvable as failure:
        if failure.gave_up:
            raise
        return None
    return {name: wheel.version for name, wheel in answer.artifacts.items()}


def raised(answer: Answer, better: Answer, roots: set[str]) -> set[str]:
    """The roots that *better* has newer, if it has none older."""
    changes = {name: (Version(answer[name]), Version(better[name])) for name in roots & answer.keys() & better.keys()}
    if any(new < old for old, new in changes.values()):
        return set()
    return {name for name, (old, new) in changes.items() if new > old}


def mistakes(case: Case) -> list[str]:
    """What is wrong with the resolver's answer, by exhaustion."""
    oracle = Oracle(case, TARGET)
    answer = resolved(case)
    if answer is None:
        first = next(oracle.answers(), None)
        return [] if first is None else [f'false "no": {first}']
    if not oracle.is_valid(answer):
        return [f"invalid: {answer}"]
    roots = {Requirement(text).name for text in case.requires}
    return [
        f"{sorted(names)} could be raised: {answer} to {better}"
        for better in oracle.answers()
        if (names := raised(answer, better, roots)) and not is_special(case, answer, better, oracle)
    ][:1]


def is_special(case: Case, answer: Answer, better: Answer, oracle: Oracle) -> bool:
    """Whether *better* has a yanked release or a pre-release that only a dependency not in *answer* admits."""
    in_force, _ = oracle.requirements(answer)
    return any(
        (case.packages[name][version].yanked or Version(version).is_prerelease)
        and version not in oracle.admitted(name, in_force.get(name, []))
        for name, version in better.items()
    )


@pytest.mark.parametrize("seed", one_in(4, range(FIRST, FIRST + 200)))
def test_a_small_index(seed: int) -> None:
    """The resolver's answer for a small index is valid, and no answer is missed."""
    assert [] == mistakes(random_case(seed))


@pytest.mark.parametrize("seed", one_in(4, range(FIRST, FIRST + 100)))
def test_several_targets(seed: int) -> None:
    """Each target's answer is valid for itself, though the second one prefers the first one's versions."""
    case = random_case(seed, markers=True)
    index = MemoryIndex(case.packages)
    preferences: dict[str, str] = {}
    for target in (TARGET, NEWER):
        oracle = Oracle(case, target)
        try:
            resolution = resolve(case.roots, TargetCompatibility(target), index, preferences=preferences, patience=5)
        except Unresolvable:
            assert next(oracle.answers(), None) is None
        else:
            preferences = {name: wheel.version for name, wheel in resolution.artifacts.items()}
            assert oracle.is_valid(preferences)


def mistakes_of_targets(case: Case, seed: int) -> list[str]:
    """What is wrong with the answers for two or three targets, by exhaustion; each prefers the versions of those before it."""
    targets = sorted(Random(seed).sample(TARGETS, 2 + seed % 2), key=TARGETS.index)
    # Targets with the same marker have the same versions: those that the lowest cap allows.
    oracles = {
        target: Oracle(case, min((t for t in targets if t.marker == target.marker), key=lambda t: t.cap))
        for target in targets
    }
    compatibilities = [TargetCompatibility(target) for target in targets]
    try:
        resolutions = resolve_all(
            case.roots, compatibilities, MemoryIndex(case.packages), policy=case.policy, patience=5
        )
    except Unresolvable as failure:
        target = failure.provider.compatibility.target
        first = next(oracles[target].answers(), None)
        return [] if first is None and not failure.gave_up else [f'false "no" for {target}: {first}']
    answers = {r.target: {name: wheel.version for name, wheel in r.artifacts.items()} for r in resolutions}
    return [
        f"invalid for {target}: {answer}" for target, answer in answers.items() if not oracles[target].is_valid(answer)
    ]


@pytest.mark.parametrize("seed", one_in(4, range(FIRST, FIRST + 60)))
def test_a_varied_index_for_several_targets(seed: int) -> None:
    """No target's answer is invalid or missed: several Pythons, architectures, and caps that no marker tells apart."""
    assert [] == mistakes_of_targets(varied_case(seed), seed)


@pytest.mark.parametrize("seed", one_in(4, range(FIRST, FIRST + 150)))
def test_a_varied_index(seed: int) -> None:
    """Nor is it with local versions, epochs, extras of extras, constraints, overrides, groups and duplicate requirements."""
    assert [] == mistakes(varied_case(seed))


@pytest.mark.parametrize("seed", one_in(4, range(FIRST, FIRST + 60)))
def test_a_locked_answer(seed: int) -> None:
    """A valid answer that is locked stays as it is; what can't be preferred any more makes no answer invalid."""
    case = varied_case(seed)
    oracle = Oracle(case, TARGET)
    random = Random(seed)
    answers = list(islice(oracle.answers(), 20))
    if answers:
        locked = random.choice(answers)
        # Nothing else admits a special release before all is chosen.
        if not is_special(case, {}, locked, oracle):
            assert locked == resolved(case, locked)
    impossible = {name: random.choice([*releases, "9"]) for name, releases in case.packages.items()}
    answer = resolved(case, impossible)
    assert (answer is None) == (not answers)
    assert answer is None or oracle.is_valid(answer)


@pytest.mark.nightly
@pytest.mark.parametrize("make", [random_case, varied_case])
@pytest.mark.parametrize("seed", range(FIRST + 200, FIRST + 2200))
def test_many_small_indexes(make: Callable[[int], Case], seed: int) -> None:
    """As above, for many more."""
    assert [] == mistakes(make(seed))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(FIRST + 200, FIRST + 2200))
def test_many_small_indexes_for_several_targets(seed: int) -> None:
    """As above, for many more."""
    assert [] == mistakes_of_targets(varied_case(seed), seed)
