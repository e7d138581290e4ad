"""The lines of a requirements file, as pip's reference describes the format.

No library is used: those that exist are old copies of pip's parser, or do not support continuation lines.
"""

import re
import shlex
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from minglibc.model.requirements import InvalidRequirement, parse

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_OPTION = re.compile(r"\s(?=--?[A-Za-z])")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PATH = re.compile(r"(?:\.{0,2}/|~/|file:)")

_INDEX = "name the index by --index-url, or as index-url under [tool.minglibc] of a pyproject.toml beside it"
_REFUSED = {
    "--index-url": _INDEX,
    "--extra-index-url": _INDEX,
    "--no-index": _INDEX,
    "--find-links": _INDEX,
    "--trusted-host": "set SSL_CERT_FILE for an index with a private certificate",
    "--editable": "minglibc locks wheels; require the project by its name",
    "--no-binary": "minglibc locks wheels, because a build can need the glibc of its machine",
}
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}
_VALUELESS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_IGNORED = {
    "--only-binary": "minglibc always prefers wheels",
    "--prefer-binary": "minglibc always prefers wheels",
    "--require-hashes": "every file in a lock has a hash",
    "--use-feature": "it only concerns pip",
}


class Kind(Enum):
    """What a line is."""

    REQUIREMENT = "requirement"
    INCLUDE = "include"
    CONSTRAINTS = "constraints"
    PRERELEASES = "prereleases"
    NOTE = "note"
    PROBLEM = "problem"


class Line(NamedTuple):
    """A parsed line: a requirement, the path of a file, or a message; *number* counts from 1."""

    kind: Kind
    text: str
    number: int


def lines(content: str) -> Iterator[Line]:
    """The lines of a requirements or constraints file, with continued lines joined, without blank lines and comments."""
    for number, joined in _joined(content):
        line = _COMMENT.sub("", joined).strip()
        if variable := _VARIABLE.search(line):
            # Its value may be a password, which must not reach a lock.
            yield Line(Kind.PROBLEM, f"uses {variable[0]}; variables are not supported, write their values", number)
            continue
        if line.startswith("-"):
            yield Line(*_option(line), number)
        elif line:
            yield from (Line(kind, text, number) for kind, text in _requirement(line))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not parts:
            first = number
        # A comment is never continued on the next line.
        if line.endswith("\\") and not _COMMENT.match(line):
            parts.append(line[:-1])
            continue
        yield first, "".join([*parts, line])
        parts.clear()
    if parts:
        yield first, "".join(parts)


def _option(line: str) -> tuple[Kind, str]:
    name, value = _split(line)
    if name in {"--requirement", "--constraint"}:
        if not value or _URL.match(value):
            what = "is a URL; download it, and give the path" if value else "has no path"
            return Kind.PROBLEM, f"{name} {value}".strip() + f" {what}"
        return (Kind.INCLUDE if name == "--requirement" else Kind.CONSTRAINTS), value
    if name == "--pre":
        return Kind.PRERELEASES, ""
    if name in _IGNORED:
        return Kind.NOTE, f"{name} is ignored: {_IGNORED[name]}"
    if name in _REFUSED:
        return Kind.PROBLEM, f"{name} is not supported in a requirements file; {_REFUSED[name]}"
    return Kind.PROBLEM, f"{name} is not a known option; remove it"


def _split(line: str) -> tuple[str, str]:
    """The long name of an option, and its value."""
    if line.startswith("--"):
        name, _, value = line.replace("=", " ", 1).partition(" ")
        known = name
    else:
        name, value = line[:2], line[2:].removeprefix("=")
        known = _SHORT.get(name, name)
    try:
        return known, " ".join(shlex.split(value))
    except ValueError:
        return known, value.strip()


def _with_name(text: str) -> str:
    """The requirement for a wheel that is given by its path or URL alone: its file name starts with the project's name."""
    address, blank, marker = text.partition(" ;")
    path = address.partition("#")[0].strip()
    if not path.endswith(".whl") or " " in path:
        return text
    name = path.rpartition("/")[2].partition("-")[0]
    return f"{name} @ {address.strip()}{blank}{marker}"


def _requirement(line: str) -> Iterator[tuple[Kind, str]]:
    text, *options = _OPTION.split(line)
    for option in dict.fromkeys(_split(option)[0] for option in options):
        if option == "--hash":
            yield (
                Kind.NOTE,
                f"the hashes of {text.strip()} are ignored: the lock has the hashes of the selected wheels",
            )
        else:
            yield Kind.PROBLEM, f"{option} of {text.strip()} is not a known option; remove it"
    text = _with_name(text.strip())
    if _PATH.match(text) or (_URL.match(text) and " @ " not in text):
        yield Kind.PROBLEM, f"{text} is not a wheel; minglibc locks only wheels from URLs and paths"
        return
    try:
        parse(text)
    except InvalidRequirement as error:
        yield Kind.PROBLEM, f"{text!r} is not a valid requirement: {error}"
    else:
        yield Kind.REQUIREMENT, text
