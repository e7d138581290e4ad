"""What a lock depends on, as one digest; taken and read back without parsing TOML, so that `lock` can stop early."""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

# Raise it when the same inputs should lead to another lock.
FORMAT = 1

# What [project] says about itself and never about what is installed; a version bump leaves the lock fresh.
_UNRELATED_KEYS = {
    "version",
    "description",
    "readme",
    "license",
    "license-files",
    "authors",
    "maintainers",
    "keywords",
    "classifiers",
}
_UNRELATED_PROJECT_TABLES = {"urls", "scripts", "gui-scripts", "entry-points"}

# TOML 1.0's lexical grammar, as far as it decides where a statement ends. Two quotes may stand before a closing three.
_TOKEN = re.compile(
    r'''
    (?P<string> """ (?: \\. | [^\\] )*? """ "{0,2} | \'\'\' .*? \'\'\' '{0,2}
              | "(?!"") (?: \\[^\n] | [^"\\\n] )* " | '(?!\'\') [^'\n]* ' )
    | (?P<space> [ \t]+ | \#[^\n]* )
    | (?P<newline> \n )
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | (?P<bare> [^\s"'\#\[\]{}]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)
_SEAL = re.compile(r'inputs = "(sha256:[0-9a-f]{64})"\ntext = "(sha256:[0-9a-f]{64})"\n')
_SEAL_LENGTH = len('inputs = ""\ntext = ""\n') + 2 * len("sha256:" + 64 * "0")


class LockDigests(NamedTuple):
    """The two lines that close a lock: the digest of its inputs, and whether the text before is what was written."""

    inputs: str
    intact: bool


def fingerprint(pyproject: str, overrides: Mapping[str, object] | None = None) -> str:
    """The digest of everything in *pyproject*, and of the *overrides* that are given, that a lock depends on."""
    text = pyproject.removeprefix("\ufeff").replace("\r\n", "\n")
    relevant = _relevant_statements(text)
    # A text that is not TOML hashes whole: it never equals a digest that a readable file was locked with.
    body = f"unreadable\n{text}" if relevant is None else "\n".join(relevant)
    given = sorted((key, value) for key, value in (overrides or {}).items() if value is not None and value != ())
    return _digest(f"{FORMAT}\n{given!r}\n{body}")


def seal(body: str, inputs: str) -> str:
    """The lock *body*, which ends inside its ``[tool.minglibc]`` table, closed with both digests."""
    sealed = f'{body}inputs = "{inputs}"\n'
    return f'{sealed}text = "{_digest(sealed)}"\n'


def lock_digests(lock: str) -> LockDigests | None:
    """What the last two lines of *lock* say, or None where a lock does not end as minglibc ends one."""
    text = lock.replace("\r\n", "\n")
    found = _SEAL.fullmatch(text, len(text) - _SEAL_LENGTH) if len(text) >= _SEAL_LENGTH else None
    if not found:
        return None
    return LockDigests(inputs=found[1], intact=_digest(text[: found.start(2) - len('text = "')]) == found[2])


def _digest(text: str) -> str:
    # A lone surrogate can't come from a file; "surrogatepass" only keeps this function total.
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _relevant_statements(text: str) -> list[str] | None:
    """The statements that a lock depends on, in file order and without comments; None when *text* is not TOML."""
    relevant: list[str] = []
    table = ""
    is_relevant = True
    for statement in _statements(text):
        if statement is None:
            return None
        if statement.startswith("["):
            table = statement
            is_relevant = _is_relevant_table(table)
        elif "=" not in statement:
            return None
        if is_relevant and not (table == "[project]" and statement.partition("=")[0].rstrip() in _UNRELATED_KEYS):
            relevant.append(statement)
    return relevant


def _statements(text: str) -> Iterator[str | None]:
    """Each table header and each key with its value, on one line, blanks folded; None where the text stops being TOML."""
    parts: list[str] = []
    depth = position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if not token:
            yield None
            return
        position = token.end()
        kind = token.lastgroup
        if kind == "newline" and depth == 0:
            if statement := "".join(parts).strip():
                yield statement
            parts.clear()
        elif kind in {"space", "newline"}:
            if parts and parts[-1] != " ":
                parts.append(" ")
        else:
            depth += (kind == "open") - (kind == "close")
            parts.append(token[0])
        if depth < 0:
            yield None
            return
    if depth:
        yield None
    elif statement := "".join(parts).strip():
        yield statement


def _is_relevant_table(header: str) -> bool:
    """Whether a lock depends on the table of this *header*; a quoted name that would have to be decoded counts as one."""
    first, _, rest = header.strip("[] ").partition(".")
    second = rest.partition(".")[0].strip()
    match first.strip():
        case "project":
            return second not in _UNRELATED_PROJECT_TABLES
        case "dependency-groups":
            return True
        case "tool":
            return second in {"", "minglibc"} or second[0] in "\"'"
        case quoted:
            return quoted[:1] in {'"', "'"}
