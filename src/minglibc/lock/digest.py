"""What a lock depends on, as one digest; taken and read back without parsing TOML, so that `lock` can stop early."""

# Every start imports this: no re, which costs 5 ms, no typing (3), and no hashlib, which loads all of OpenSSL (3).
from collections.abc import Iterator, Mapping

try:  # as the standard library's own random does
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # typeshed leaves out what is private
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # before CPython 3.12
    except ImportError:
        from hashlib import sha256

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

# What ends a bare token (TOML 1.0's lexical grammar, as far as it decides where a statement ends).
_ENDS_BARE = frozenset(" \t\n\"'#[]{}")
_SEAL_LENGTH = len('inputs = ""\ntext = ""\n') + 2 * len("sha256:" + 64 * "0")
_HEX = frozenset("0123456789abcdef")


class LockDigests:
    """The two lines that close a lock: the digest of its inputs, and whether the text before is what was written."""

    __slots__ = ("inputs", "intact")

    def __init__(self, inputs: str, *, intact: bool) -> None:
        self.inputs = inputs
        self.intact = intact


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
    sealed = text[-_SEAL_LENGTH:]
    inputs, written = sealed[len('inputs = "') :][:71], sealed[-len(f'{64 * "0"}sha256:"\n') : -len('"\n')]
    if sealed != f'inputs = "{inputs}"\ntext = "{written}"\n' or not _is_digest(inputs) or not _is_digest(written):
        return None
    return LockDigests(inputs, intact=_digest(text[: -len(f'text = "{written}"\n')]) == written)


def _is_digest(text: str) -> bool:
    return text.startswith("sha256:") and len(text) == 71 and _HEX.issuperset(text[7:])


def hexdigest(content: bytes) -> str:
    """The SHA-256 of *content*, by what is imported already."""
    digest: str = sha256(content).hexdigest()
    return digest


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
    depth = 0
    for found in _tokens(text):
        if found is None:
            yield None
            return
        if found == "\n" and depth == 0:
            if statement := "".join(parts).strip():
                yield statement
            parts.clear()
        elif found in {" ", "\n"}:
            if parts and parts[-1] != " ":
                parts.append(" ")
        else:
            depth += (found in {"[", "{"}) - (found in {"]", "}"})
            parts.append(found)
        if depth < 0:
            yield None
            return
    if depth:
        yield None
    elif statement := "".join(parts).strip():
        yield statement


def _tokens(text: str) -> Iterator[str | None]:
    """Strings, brackets, newlines, bare words, and a space for any blanks or comment; None where none of them is found."""
    position = 0
    while position < len(text):
        start, first = position, text[position]
        if first in "[]{}\n":
            position += 1
            yield first
        elif first in " \t":
            position += 1
            yield " "
        elif first == "#":
            newline = text.find("\n", position)
            position = len(text) if newline < 0 else newline
            yield " "
        else:
            position = _string_end(text, start) if first in "\"'" else _bare_end(text, start)
            if position < 0:
                yield None
                return
            yield text[start:position]


def _bare_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and text[end] not in _ENDS_BARE:
        end += 1
    # TOML's only blanks are spaces and tabs.
    return end if text[start:end].split() == [text[start:end]] else -1


def _string_end(text: str, start: int) -> int:
    """Where the string that begins at *start* has ended; -1 where it never does."""
    quote = text[start]
    triple = text.startswith(3 * quote, start)
    closing = 3 * quote if triple else quote
    newline = -1 if triple else text.find("\n", start)
    limit = len(text) if newline < 0 else newline
    end = _closing(text, closing, start + len(closing), limit)
    if end < 0 or not triple:
        return end
    # Two quotes may stand before the closing three.
    return end + next(extra for extra in (2, 1, 0) if text.startswith(extra * quote, end))


def _closing(text: str, closing: str, position: int, limit: int) -> int:
    while True:
        found = text.find(closing, position, limit)
        escape = text.find("\\", position, limit) if closing[0] == '"' else -1
        if found < 0 or escape < 0 or found < escape:
            return -1 if found < 0 else found + len(closing)
        position = escape + 2


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
