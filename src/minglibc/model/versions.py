"""Versions and specifiers (PEP 440) for all versions of a project at once.

Common forms are evaluated here with tuples and bisection; everything else by packaging, which is only imported then.
tests/model/test_versions.py checks that the results are equal.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import Any

# Compared element by element: epoch, release without trailing zeros, pre-release, post, dev, local.
Key = tuple[Any, ...]

inf = float("inf")
_NUMBER = "(?:0|[1-9][0-9]*)"
_CANONICAL = re.compile(
    rf"(?:(?P<epoch>[1-9][0-9]*)!)?(?P<release>{_NUMBER}(?:\.{_NUMBER})*)(?:(?P<phase>a|b|rc)(?P<pre>{_NUMBER}))?"
    rf"(?:\.post(?P<post>{_NUMBER}))?(?:\.dev(?P<dev>{_NUMBER}))?"
    r"(?:\+(?P<local>[a-z0-9.]+))?"
)
# A separate pattern, compiled if there is a local label: compiling a longer pattern takes longer at each start.
_LABEL = rf"(?:{_NUMBER}|[0-9]*[a-z][a-z0-9]*)"
_LOCAL = rf"{_LABEL}(?:\.{_LABEL})*"
_CLAUSE = re.compile(
    r"\s*(?P<operator>===|~=|==|!=|<=|>=|<|>)\s*"
    r"(?P<release>[0-9]+(?:\.[0-9]+)*)(?P<suffix>(?:\.?(?:a|b|rc)\.?[0-9]+)?(?:\.post[0-9]+|-[0-9]+)?(?:\.?dev[0-9]*)?)"
    r"(?P<prefix>\.\*)?\s*",
    re.ASCII,
)

# The longest file name of common file systems, which versions are a part of; int() has a limit far above it.
_LONGEST = 255
# As long as a requirement may be.
_LONGEST_SPECIFIER = 4000
_LETTER = re.compile("[a-zA-Z]")
_PHASE = re.compile(r"\.?(a|b|rc)\.?")
_FINAL = (9, 0)
_DEV_OF_FINAL = (-1, 0)
_BEFORE_ANY = (-2, 0)
_PHASES = {"a": 0, "b": 1, "rc": 2}
_AFTER_ANY_LOCAL = ((2, ""),)
_NO_LOCAL: tuple[Any, ...] = ()


def normalize(text: str) -> str | None:
    """The canonical form of a version, or None if PEP 440 does not allow it."""
    if len(text) > _LONGEST:
        return None
    if _canonical(text):
        return text
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415  few versions need it

    try:
        return str(Version(text))
    except InvalidVersion:
        return None


def _canonical(text: str) -> re.Match[str] | None:
    """The parts of a canonical version; None for any other text."""
    match = _CANONICAL.fullmatch(text)
    return match if match and (match["local"] is None or re.fullmatch(_LOCAL, match["local"])) else None


@cache
def key(version: str) -> Key:
    """A sort key with the order and equality of ``packaging.version.Version``; raises ValueError."""
    match = _canonical(version)
    if match is None:
        canonical = normalize(version)
        if canonical is None:
            raise ValueError(f"{version!r} is not a version (PEP 440)")
        return key(canonical)
    epoch, release, phase, pre, post, dev, local = match.groups()
    stage = (_PHASES[phase], int(pre)) if phase else _FINAL if dev is None or post is not None else _DEV_OF_FINAL
    return (
        int(epoch or 0),
        _release(release),
        stage,
        -1 if post is None else int(post),
        inf if dev is None else int(dev),
        _local(local) if local else _NO_LOCAL,
    )


def _release(text: str) -> tuple[int, ...]:
    return _trimmed([int(part) for part in text.split(".")])


def _trimmed(numbers: list[int]) -> tuple[int, ...]:
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _local(text: str) -> tuple[tuple[int, int | str], ...]:
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in text.split("."))


def is_prerelease(version: str) -> bool:
    """Whether a canonical *version* is a pre-release or a development release."""
    _, _, stage, _, dev, _ = key(version)
    return bool(stage < _FINAL or dev != inf)


class Versions(Sequence[str]):
    """A project's versions, oldest first; sets of them are bit masks, so that requirements are combined with ``&``."""

    __slots__ = ("_masks", "_positions", "_prereleases", "all", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        """*texts* are canonical, sorted by ``key``, and no two are equal."""
        self.texts = texts
        self.all = (1 << len(texts)) - 1
        self._masks: dict[str, int] = {"": self.all}
        self._positions: dict[str, int | None] = {}
        self._prereleases: int | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    @property
    def prereleases(self) -> int:
        """The mask of the versions that are pre-releases."""
        if self._prereleases is None:
            self._prereleases = self._compute_prereleases()
        return self._prereleases

    def _compute_prereleases(self) -> int:
        # The canonical form of every pre-release has one of these letters; other versions only have them in local labels.
        letters = "".join(self.texts)
        if not ("a" in letters or "b" in letters or "c" in letters or "d" in letters):
            return 0
        suspects = ((i, t) for i, t in enumerate(self.texts) if "a" in t or "b" in t or "c" in t or "d" in t)
        return sum(1 << i for i, t in suspects if "+" not in t or is_prerelease(t))

    def mask(self, specifier: str) -> int:
        """The mask of the versions that *specifier* contains, including pre-releases; raises ValueError if it is invalid."""
        mask = self._masks.get(specifier)
        if mask is None:
            if len(specifier) > _LONGEST_SPECIFIER:
                raise ValueError(f"{specifier[:60]!r}… is longer than {_LONGEST_SPECIFIER} characters")
            mask = self._masks[specifier] = self._compute_mask(specifier)
        return mask

    def index_of(self, version: str) -> int | None:
        """The position of *version* in any spelling; None if the project does not have it."""
        if version not in self._positions:
            wanted = key(version)
            position = self._first_from(wanted)
            exists = position < len(self.texts) and key(self.texts[position]) == wanted
            self._positions[version] = position if exists else None
        return self._positions[version]

    def _compute_mask(self, specifier: str) -> int:
        result = self.all
        for clause in specifier.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None or not _is_plain(match):
                return self._mask_by_packaging(specifier)
            low, high = map(self._first_from, _bounds(match))
            between = ((1 << high) - 1) & ~((1 << low) - 1) if high > low else 0
            result &= self.all & ~between if match["operator"] == "!=" else between
        return result

    def _first_from(self, bound: Key) -> int:
        return bisect_left(self.texts, bound, key=key)

    def _mask_by_packaging(self, specifier: str) -> int:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415  the rare specifiers

        try:
            contained = SpecifierSet(specifier)
        except InvalidSpecifier as error:
            raise ValueError(f"{specifier!r} is not a version specifier (PEP 440)") from error
        return sum(1 << i for i, text in enumerate(self.texts) if contained.contains(text, prereleases=True))


@cache
def is_plain(clause: str) -> bool:
    """Whether *clause* of a specifier is valid and has a form that is evaluated without packaging."""
    match = _CLAUSE.fullmatch(clause)
    return match is not None and _is_plain(match)


def _is_plain(match: re.Match[str]) -> bool:
    operator = match["operator"]
    if match["prefix"]:
        return operator in {"==", "!="} and not match["suffix"]
    return operator != "===" and (operator != "~=" or "." in match["release"])


_LOWEST: Key = (-1,)
_HIGHEST: Key = (inf,)


def _bounds(match: re.Match[str]) -> tuple[Key, Key]:  # noqa: PLR0911  one return per operator
    """The half-open range of keys that a plain clause contains, or for ``!=`` excludes."""
    release = [int(part) for part in match["release"].split(".")]
    if match["prefix"]:
        return _start(release), _start(_bumped(release))
    exact = key(".".join(map(str, release)) + _canonical_suffix(match["suffix"]))
    match match["operator"]:
        case "==" | "!=":
            return exact, (*exact[:5], _AFTER_ANY_LOCAL)
        case ">=":
            return exact, _HIGHEST
        case "<=":
            return _LOWEST, (*exact[:5], _AFTER_ANY_LOCAL)
        case "~=":
            return exact, _start(_bumped(release[:-1]))
        case "<":
            return _LOWEST, _below(exact)
    return _above(exact), _HIGHEST


def _canonical_suffix(suffix: str) -> str:
    """The canonical form of what follows a release: a0 for "2.0a.0", .post1 for "1.0-1", .dev0 for "6.0dev"."""
    plain, dev, number = _PHASE.sub(r"\1", suffix).replace("-", ".post").partition("dev")
    return f"{plain.removesuffix('.')}.dev{number or 0}" if dev else plain


def _below(exact: Key) -> Key:
    """The upper bound of ``<``, which excludes the pre-releases of a final or post-release too."""
    _, _, stage, post, dev, _ = exact
    if stage != _FINAL or dev != inf:
        return exact
    return (*exact[:4], -1) if post >= 0 else (*exact[:2], _BEFORE_ANY)


def _above(exact: Key) -> Key:
    """The lower bound of ``>``, which excludes the post-releases of any other version too."""
    return (*exact[:5], _AFTER_ANY_LOCAL) if exact[3] >= 0 or exact[4] != inf else (*exact[:3], inf)


def _start(release: list[int]) -> Key:
    return (0, _trimmed(list(release)), _BEFORE_ANY)


def _bumped(release: list[int]) -> list[int]:
    return [*release[:-1], release[-1] + 1]


@cache
def names_prerelease(specifier: str) -> bool:
    """Whether *specifier* mentions a pre-release, and therefore allows pre-releases (PEP 440)."""
    if specifier.isascii() and not _LETTER.search(specifier):
        return False
    clauses = [_CLAUSE.fullmatch(clause) for clause in specifier.split(",")]
    if all(match and match["operator"] != "===" for match in clauses):
        suffixes = [match["suffix"] for match in clauses if match and match["operator"] != "!="]
        return any((suffix and not suffix.startswith((".post", "-"))) or "dev" in suffix for suffix in suffixes)
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415  the rare specifiers

    return bool(SpecifierSet(specifier).prereleases)


@cache
def contains(specifier: str, version: str) -> bool:
    """Whether *specifier* contains *version*, also if it is a pre-release; raises ValueError if the specifier is invalid."""
    return bool(Versions((version,)).mask(specifier))
