"""Markers whose extras and groups are known: those parts are removed, and the rest stays as it is written."""

import re
from collections.abc import Callable, Collection, Iterator

from minglibc.model.requirements import conjunction
from minglibc.source_locks.model import Invalid

_TOKEN = re.compile(r"""\s*(?:([()])|(and|or)(?![\w.])|((?:"[^"]*"|'[^']*'|[^\s()"']+)))""")
_EXTRA = re.compile(r"""extra (==|!=) (?:'([^']*)'|"([^"]*)")""")
_REVERSED = re.compile(r"""(?:'([^']*)'|"([^"]*)") (==|!=) extra""")
_MEMBER = re.compile(r"""(?:'([^']*)'|"([^"]*)") (in|not in) (?:extras|dependency_groups)""")
_LONGEST = 4000


def known_names(marker: str) -> set[str]:
    """The extras and groups that *marker* names."""
    if "extra" not in marker and "dependency_groups" not in marker:
        return set()
    return {name for atom in _atoms(marker) if (name := _names(atom)[0])}


def without_extras(marker: str, active: Collection[str]) -> str | None:
    """*marker* where the extras and groups *active* are requested, and no others; None where it is false."""
    if "extra" not in marker and "dependency_groups" not in marker:
        return marker
    tokens = list(_tokens(marker))
    try:
        result = _Parser(tokens, active).alternatives()
    except RecursionError as error:
        raise Invalid(f"the marker {marker[:60]!r}… nests too deeply") from error
    return None if result is False else "" if result is True else result


def needed_names(marker: str, names: Collection[str]) -> tuple[str, ...]:
    """Those of *names*, extras and groups, of which one has to be requested so that *marker* can be true."""
    if without_extras(marker, ()) is not None:
        return ()
    return tuple(sorted(name for name in names if without_extras(marker, (name,)) is not None))


def _tokens(marker: str) -> Iterator[str]:
    if len(marker) > _LONGEST:
        raise Invalid(f"the marker {marker[:60]!r}… is longer than {_LONGEST} characters")
    position = 0
    while position < len(marker.rstrip()):
        match = _TOKEN.match(marker, position)
        if match is None:
            raise Invalid(f"{marker[:200]!r} is not a marker")
        yield match[1] or match[2] or match[3]
        position = match.end()


def _atoms(marker: str) -> Iterator[str]:
    atom: list[str] = []
    for token in [*_tokens(marker), "and"]:
        if token in {"(", ")", "and", "or"}:
            yield " ".join(atom)
            atom = []
        else:
            atom.append(token)


def _names(atom: str) -> tuple[str, bool]:
    """The extra or group that *atom* compares, and whether the atom is true if that is requested; "" for other atoms."""
    if match := _EXTRA.fullmatch(atom):
        return match[2] or match[3] or "", match[1] == "=="
    if match := _REVERSED.fullmatch(atom):
        return match[1] or match[2] or "", match[3] == "=="
    if match := _MEMBER.fullmatch(atom):
        return match[1] or match[2] or "", match[3] == "in"
    return "", False


class _Parser:
    """Evaluates what is known of a marker; what is not known stays a text."""

    def __init__(self, tokens: list[str], active: Collection[str]) -> None:
        self._tokens = [*tokens, ""]
        self._active = active
        self._position = 0

    def alternatives(self) -> str | bool:
        """``a or b``."""
        results = self._joined("or", self._conditions)
        if True in results:
            return True
        texts = [result for result in results if isinstance(result, str)]
        return " or ".join(texts) if texts else False

    def _conditions(self) -> str | bool:
        results = self._joined("and", self._condition)
        if False in results:
            return False
        texts = [result for result in results if isinstance(result, str)]
        return conjunction(*texts) if texts else True

    def _joined(self, word: str, operand: Callable[[], str | bool]) -> list[str | bool]:
        results = [operand()]
        while self._tokens[self._position] == word:
            self._position += 1
            results.append(operand())
        return results

    def _condition(self) -> str | bool:
        if self._tokens[self._position] == "(":
            self._position += 1
            result = self.alternatives()
            if self._tokens[self._position] != ")":
                raise Invalid("a marker has an open parenthesis")
            self._position += 1
            return result
        atom: list[str] = []
        while self._tokens[self._position] not in {"(", ")", "and", "or", ""}:
            atom.append(self._tokens[self._position])
            self._position += 1
        text = " ".join(atom)
        name, if_active = _names(text)
        return (name in self._active) == if_active if name else text
