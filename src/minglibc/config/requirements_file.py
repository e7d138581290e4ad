"""A requirements file's lines, understood one by one as pip's reference describes the format.

Written here, because the libraries for it are pip's own parser taken over years ago, or know no continuation lines.
"""

import re
import shlex
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from minglibc.model.requirements import InvalidRequirement, parse

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_OPTION = re.compile(r"\s(?=--?[A-Za-z])")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PATH = re.compile(r"(?:\.{0,2}/|~/|file:)")

_INDEX = "name the index by --index-url, or as index-url under [tool.minglibc] of a pyproject.toml beside it"
_REFUSED = {
    "--index-url": _INDEX,
    "--extra-index-url": _INDEX,
    "--no-index": _INDEX,
    "--find-links": _INDEX,
    "--trusted-host": "an index with a certificate of its own is trusted by SSL_CERT_FILE",
    "--editable": "minglibc locks wheels; require the project by its name",
    "--no-binary": "minglibc locks wheels only, for what is built on one machine may need its glibc",
}
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}
_VALUELESS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_NEEDLESS = {
    "--only-binary": "minglibc takes nothing but wheels anyway",
    "--prefer-binary": "minglibc takes nothing but wheels anyway",
    "--require-hashes": "every file of a lock has its hash",
    "--use-feature": "it is pip's own",
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
    """One understood line: a requirement or a file's path, or what is to be said of it; *number* counts from 1."""

    kind: Kind
    text: str
    number: int


def lines(text: str) -> Iterator[Line]:
    """What each line of a requirements or constraints file says, continued lines joined, blanks and comments left out."""
    for number, joined in _joined(text):
        found = _COMMENT.sub("", joined).strip()
        if found.startswith("-"):
            yield Line(*_option(found), number)
        elif found:
            yield from (Line(kind, said, number) for kind, said in _requirement(found))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not parts:
            first = number
        # A comment ends where its line does, whatever stands at the end.
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
            what = "an address, and a file is due" if value else "without its file"
            return Kind.PROBLEM, f"{name} {value}".strip() + f" is {what}; download it, and name the copy"
        return (Kind.INCLUDE if name == "--requirement" else Kind.CONSTRAINTS), value
    if name == "--pre":
        return Kind.PRERELEASES, ""
    if name in _NEEDLESS:
        return Kind.NOTE, f"{name} is passed over: {_NEEDLESS[name]}"
    if name in _REFUSED:
        return Kind.PROBLEM, f"{name} is not taken from a requirements file; {_REFUSED[name]}"
    return Kind.PROBLEM, f"{name} is no option that minglibc knows; take it out"


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
    """The requirement that a wheel's mere path or address means: its file name has the project's name in front."""
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
                f"the hashes of {text.strip()} are passed over: the lock takes those of the wheels it chooses",
            )
        else:
            yield Kind.PROBLEM, f"{option} of {text.strip()} is no option that minglibc knows; take it out"
    text = _with_name(text.strip())
    if _PATH.match(text) or (_URL.match(text) and " @ " not in text):
        yield Kind.PROBLEM, f"{text} is no wheel; minglibc locks nothing else"
        return
    try:
        parse(text)
    except InvalidRequirement as error:
        yield Kind.PROBLEM, f"{text!r} is not a requirement: {error}"
    else:
        yield Kind.REQUIREMENT, text
