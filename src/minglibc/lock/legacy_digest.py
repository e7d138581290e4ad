"""The digest of the inputs as minglibc 0.1.0 computed it, so that locks made by it stay fresh.

It was taken over the statements of the TOML text, without comments and with whitespace collapsed.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3}"{0,2}"""  # up to two quotes can precede the closing delimiter
    r"""|'{3}.*?'{3}'{0,2}"""
    r'''|"(?:\\.|[^"\\\n])*"'''
    r"""|'[^'\n]*'"""
    r"""|(?P<blank>[ \t]+|\#[^\n]*)"""
    r"""|[][{}\n]"""
    r"""|[^ \t\n"'#\[\]{}]+""",
    re.DOTALL,
)
_IGNORED_KEYS = frozenset(
    (
        *("version", "description", "readme", "license", "license-files"),
        *("authors", "maintainers", "keywords", "classifiers"),
    )
)
_IGNORED_PROJECT_TABLES = frozenset(("urls", "scripts", "gui-scripts", "entry-points"))


def relevant_text(toml: str) -> str:
    """What the digest of 0.1.0 covered of *toml*, which is valid TOML."""
    relevant: list[str] = []
    table, is_relevant = "", True
    for statement in _statements(toml.replace("\r\n", "\n")):
        if statement.startswith("["):
            table, is_relevant = statement, _is_relevant(statement)
        if is_relevant and not (table == "[project]" and statement.partition("=")[0].rstrip() in _IGNORED_KEYS):
            relevant.append(statement)
    return "\n".join(relevant)


def _statements(toml: str) -> Iterator[str]:
    """Each table header, and each key with its value, on one line."""
    parts: list[str] = []
    depth = 0
    for match in _TOKEN.finditer(f"{toml}\n"):
        part = " " if match["blank"] else match[0]
        if part == "\n" and depth == 0:
            if statement := "".join(parts).strip():
                yield statement
            parts.clear()
        elif part in {" ", "\n"}:
            if parts and parts[-1] != " ":
                parts.append(" ")
        else:
            depth += (part in {"[", "{"}) - (part in {"]", "}"})
            parts.append(part)


def _is_relevant(header: str) -> bool:
    first, _, rest = header.strip("[] ").partition(".")
    second = rest.partition(".")[0].strip()
    match first.strip():
        case "project":
            return second not in _IGNORED_PROJECT_TABLES
        case "dependency-groups":
            return True
        case "tool":
            return second in {"", "minglibc"} or second[0] in "\"'"
        case name:
            return name[:1] in {'"', "'"}
