"""The lines of a requirements file, as pip's reference describes the format.

No library is used: those that exist are old copies of pip's parser, or do not support continuation lines.
"""

import re
import shlex
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from minglibc.model.requirements import InvalidRequirement, parse

# Without its hashes.
_MAX_LINE = 10_000
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_OPTION = re.compile(r"\s(?=--?[A-Za-z])")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
# A user and a password of a URL, of which at least one is a variable.
_VARIABLE_CREDENTIALS = re.compile(r"(https?://)[^\s/@]*\$\{[A-Z0-9_]+\}[^\s/@]*@")
_CREDENTIALS_ADVICE = "user and password are not read from variables; store them in netrc"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGEST = re.compile("[0-9a-fA-F]+")
_PATH = re.compile(r"(?:\.{0,2}/|~/|file:|\.{1,2}(?:\[|$))")
_EXTRAS = re.compile(r"(?P<path>[^\[]*?)\s*(?:\[(?P<extras>[A-Za-z0-9._, -]*)\])?")
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2")

_PREFERS_WHEELS = "minglibc always prefers wheels"
_OWN_WHEEL = "remove it, or require the path of a wheel that you built"
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}
_VALUELESS = frozenset(("--no-index", "--pre", "--prefer-binary", "--require-hashes"))
_IGNORED = {
    "--only-binary": "packages without wheels are only built where allow-sdist names them",
    "--prefer-binary": _PREFERS_WHEELS,
    "--require-hashes": "every file in a lock has a hash",
    "--trusted-host": "certificates are always verified; SSL_CERT_FILE names a private certificate authority",
    "--use-feature": "it only concerns pip",
}
# Options of pip for the build of one requirement.
_BUILD_OPTIONS = ("--config-setting", "--config-settings", "--global-option", "--install-option")


class Kind(Enum):
    """What a line is."""

    REQUIREMENT = "requirement"
    INCLUDE = "include"
    CONSTRAINTS = "constraints"
    PRERELEASES = "prereleases"
    LOCAL = "local project"
    INDEX = "index option"
    NOTE = "note"
    PROBLEM = "problem"


_FILES = {"--requirement": Kind.INCLUDE, "--constraint": Kind.CONSTRAINTS}
_VALUES = {"--pre": Kind.PRERELEASES} | dict.fromkeys(
    ("--index-url", "--extra-index-url", "--no-index", "--find-links"), Kind.INDEX
)


class Line(NamedTuple):
    """A parsed line: a requirement, the path of a file, or a message; *number* counts from 1.

    *hashes* are those that a requirement gives, as ``algorithm:hex``. The path of a local project has its *extras* and its
    *marker*, and the value of an index option has the *option*.
    """

    kind: Kind
    text: str
    number: int
    hashes: tuple[str, ...] = ()
    extras: str = ""
    marker: str = ""
    editable: bool = False
    option: str = ""


def lines(content: str, *, as_lock: bool = False) -> Iterator[Line]:
    """The lines of a requirements or constraints file, with continued lines joined, without blank lines and comments.

    In a file that is read *as_lock*, local projects have no extras and markers, and can have any path.
    """
    for number, joined in _joined(content):
        line = _COMMENT.sub("", joined).strip()
        if len(line.partition(" --hash")[0]) > _MAX_LINE:
            yield Line(Kind.PROBLEM, f"is longer than {_MAX_LINE} characters", number)
            continue
        if line.startswith("-") and (bare := _VARIABLE_CREDENTIALS.sub(r"\1", line)) != line:
            line = bare
            yield Line(Kind.NOTE, f"line {number}: {_CREDENTIALS_ADVICE}", number)
        if variable := _VARIABLE.search(line):
            # Its value may be a password, which must not reach a lock.
            yield Line(Kind.PROBLEM, f"uses {variable[0]}; variables are not supported, write their values", number)
            continue
        if as_lock and (local := _local_project(line)):
            yield Line(Kind.LOCAL, local, number)
        elif not as_lock and (project := _project(line, number)):
            yield project
        elif line.startswith("-"):
            for name, value in _options(line):
                yield Line(*_option(name, value), number, option=name)
        elif line:
            yield from _requirement(line, number)


def _local_project(line: str) -> str:
    """The path of the project in a line for an editable or local project; else empty."""
    if line.startswith("-"):
        name, value = _split(line)
        return value if name == "--editable" else ""
    text = line.partition(" ;")[0].strip()
    return text if _PATH.match(text) and not text.endswith(".whl") else ""


def _project(line: str, number: int) -> Line | None:
    """The local project that *line* names, editable or not; None for other lines."""
    text, editable = line, False
    if line.startswith("-"):
        name, text = _split(line)
        if name != "--editable":
            return None
        editable = True
        if not text or "://" in text or " @ " in text:
            advice = "write the path of its folder, or require the project by its name"
            return Line(Kind.PROBLEM, f"-e {text} is not a path; {advice}", number)
    address, _, marker = text.partition(" ;")
    match = _EXTRAS.fullmatch(address.strip())
    is_project = match is not None and (editable or _PATH.match(address) is not None)
    if match is None or not is_project or match["path"].partition("#")[0].endswith(_ARCHIVES):
        return None
    path = match["path"].partition("#")[0]
    if path.startswith(("file:", "~", "/")):
        return Line(Kind.PROBLEM, f"{path} is not a path that a lock can contain; write a relative path", number)
    return Line(Kind.LOCAL, path, number, extras=match["extras"] or "", marker=marker.strip(), editable=editable)


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


def _options(line: str) -> Iterator[tuple[str, str]]:
    """The long names and the values of the options in *line*, which can be several."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    words.reverse()
    while words:
        word = words.pop()
        if word.startswith("--"):
            name, _, value = word.partition("=")
        elif word.startswith("-"):
            name, value = _SHORT.get(word[:2], word[:2]), word[2:].removeprefix("=")
        else:
            name, value = word, ""
        values = [value] if value else []
        while name not in _VALUELESS and words and not words[-1].startswith("-"):
            values.append(words.pop())  # a path with blanks
        yield name, " ".join(values)


def _option(name: str, value: str) -> tuple[Kind, str]:
    if name in _FILES:
        if not value or _URL.match(value):
            what = "is a URL; download it, and give the path" if value else "has no path"
            return Kind.PROBLEM, f"{name} {value}".strip() + f" {what}"
        return _FILES[name], value
    if name in _VALUES:
        return _VALUES[name], value
    if name in _IGNORED or (name, value) == ("--no-binary", ":none:"):
        return Kind.NOTE, f"{name} is ignored: {_IGNORED.get(name, _PREFERS_WHEELS)}"
    if name == "--no-binary":
        return Kind.PROBLEM, f"{name} {value} is not supported: wheels are used where there are some; {_OWN_WHEEL}"
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


def _requirement(line: str, number: int) -> Iterator[Line]:
    text, *options = _OPTION.split(line)
    hashes: list[str] = []
    for option in dict.fromkeys(options):
        name, value = _split(option)
        algorithm, _, digest = value.partition(":")
        if name in _BUILD_OPTIONS:
            problem = (
                f"{name} of {text.strip()} is not supported; remove it, or require the path of a wheel that you built"
            )
            yield Line(Kind.PROBLEM, problem, number)
        elif name != "--hash":
            yield Line(Kind.PROBLEM, f"{name} of {text.strip()} is not a known option; remove it", number)
        elif not _DIGEST.fullmatch(digest):
            problem = (
                f"has the hash {value[:100]!r} of {text.strip()}; expected an algorithm and its hexadecimal digest"
            )
            yield Line(Kind.PROBLEM, problem, number)
        else:
            hashes.append(f"{algorithm}:{digest.lower()}")
    text = _with_name(text.strip())
    if _PATH.match(text) or (_URL.match(text) and " @ " not in text):
        yield Line(Kind.PROBLEM, f"{text} is not a wheel; minglibc locks only wheels from URLs and paths", number)
        return
    try:
        parse(text)
    except InvalidRequirement as error:
        yield Line(Kind.PROBLEM, f"{text!r} is not a valid requirement: {error}", number)
    else:
        yield Line(Kind.REQUIREMENT, text, number, tuple(hashes))
