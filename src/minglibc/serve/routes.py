"""The paths of the server: /CAP[/ARCHITECTURE][/PYTHON][/verified]/simple/PROJECT/ and what is beside it."""

import re
from functools import lru_cache
from typing import NamedTuple

from minglibc.config.problems import is_name
from minglibc.errors import TargetError
from minglibc.model.architectures import ARCHITECTURES, OTHER_NAMES
from minglibc.model.limits import MAX_FILENAME, is_filename
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import (
    Cap,
    GlibcVersion,
    MuslVersion,
    PythonVersion,
    check_architecture,
    check_cap,
    newest,
)

VERIFIED = "verified"
# The suffix of the metadata file of a wheel (PEP 658).
METADATA = ".metadata"
_KINDS = ("simple", "files", "project")
_LONGEST_PATH = 1024
_PYTHON = re.compile(r"cp3([0-9]{1,2})(t?)")


class UnknownPath(Exception):
    """The path is none of the server's; the message says what is wrong with it."""


class Selection(NamedTuple):
    """Which files a page has: those within a cap, for one architecture and Python or for all, without those found to need more."""

    cap: Cap
    architecture: str = ""
    python: PythonVersion | None = None
    is_verified: bool = False

    def __str__(self) -> str:
        machine = f" on {self.architecture}" if self.architecture else ""
        python = f" for CPython {self.python}" if self.python else ""
        return f"{self.cap.named}{machine}{python}"


class Route(NamedTuple):
    """What a path names."""

    kind: str
    """``simple``, ``files``, ``project`` (the page for people), or the name of a page without a cap."""
    selection: Selection | None = None
    prefix: str = ""
    """The path of the selection as it was requested, without slashes around it."""
    project: str = ""
    """The normalized name; empty for the list of projects."""
    filename: str = ""
    redirect: str = ""
    """The path, relative to the requested one, where the page is."""


@lru_cache(maxsize=1 << 14)
def parse_path(path: str) -> Route:
    """The route of a decoded path; raises UnknownPath."""
    if len(path) > _LONGEST_PATH or not path.startswith("/"):
        raise UnknownPath("the path is too long" if path.startswith("/") else "the path is invalid")
    parts = path[1:].split("/")
    match parts:
        case [""]:
            return Route("home")
        case ["health" | "metrics" as name]:
            return Route(name)
    position = next((i for i, part in enumerate(parts[:5]) if part in _KINDS), 0)
    if not position:
        raise UnknownPath("expected a path such as /glibc-2.27/simple/")
    selection = parse_selection(parts[:position])
    return _parse_rest(selection, "/".join(parts[:position]), parts[position], parts[position + 1 :])


def _parse_rest(selection: Selection, prefix: str, kind: str, rest: list[str]) -> Route:
    route = Route(kind, selection, prefix)
    match kind, rest:
        case "simple", []:
            return route._replace(redirect="simple/")
        case "simple", [""]:
            return route
        case "simple", [name] | [name, ""] if is_name(name):
            return _page(route, name, has_slash=len(rest) == 2)
        case "project", [name] if is_name(name):
            normalized = normalize_name(name)
            return route._replace(project=normalized, redirect="" if name == normalized else normalized)
        case "files", [name, filename] if _is_served_name(name, filename):
            return route._replace(project=name, filename=filename)
    raise UnknownPath("expected a path such as /glibc-2.27/simple/numpy/")


def _page(route: Route, name: str, *, has_slash: bool) -> Route:
    normalized = normalize_name(name)
    redirect = ""
    if not has_slash:
        redirect = f"{normalized}/"
    elif name != normalized:
        redirect = f"../{normalized}/"
    return route._replace(project=normalized, redirect=redirect)


def _is_served_name(name: str, filename: str) -> bool:
    is_normal = is_name(name) and name == normalize_name(name)
    return is_normal and len(filename) <= MAX_FILENAME and is_filename(filename.removesuffix(METADATA))


def parse_selection(parts: list[str]) -> Selection:
    """The selection that the parts of a path before ``simple`` name; raises UnknownPath."""
    try:
        cap = parse_cap(parts[0])
        selection = Selection(cap)
        for part in parts[1:]:
            selection = _extended(selection, part)
        if selection.architecture:
            check_cap(cap, selection.architecture)
    except TargetError as error:
        raise UnknownPath(error.message) from error
    return selection


def _extended(selection: Selection, part: str) -> Selection:
    """*selection* with the architecture, the Python or the check that *part* adds, in this order."""
    python = _PYTHON.fullmatch(part)
    if part == VERIFIED and not selection.is_verified:
        return selection._replace(is_verified=True)
    if python and selection.python is None and not selection.is_verified:
        return selection._replace(python=PythonVersion.parse(f"3.{int(python[1])}{python[2]}"))
    if selection[1:] == ("", None, False) and (part in ARCHITECTURES or part in OTHER_NAMES):
        return selection._replace(architecture=check_architecture(part))
    raise UnknownPath(
        "after the cap, expected an architecture (x86_64), a Python (cp39) or verified, in this order and at most once"
    )


def parse_cap(text: str) -> Cap:
    """The cap that ``glibc-2.27``, ``manylinux2014``, ``musl-1.2`` or the name of a distribution names; raises TargetError."""
    libc, dash, version = text.partition("-")
    if dash and libc in {"glibc", "musl"}:
        if not version[:1].isdigit():
            raise TargetError(f"{text!r} is not a cap; write glibc-2.27, musl-1.2 or rhel-8")
        cap: Cap = GlibcVersion.parse(version) if libc == "glibc" else MuslVersion.parse(version)
    elif text.startswith("musllinux"):
        cap = MuslVersion.parse(text)
    elif text[:1].isdigit():
        raise TargetError(f"{text!r} does not name a C library; write glibc-{text} or musl-{text}")
    else:
        cap = GlibcVersion.parse(text)
    if cap > newest(cap):
        raise TargetError(f"{cap.named} is newer than {newest(cap).named}, the newest known version")
    return cap


def path_of(selection: Selection) -> str:
    """The canonical path of *selection*, without slashes around it."""
    parts = [f"{selection.cap.libc}-{selection.cap}", selection.architecture]
    if selection.python is not None:
        parts.append(f"cp3{selection.python.minor}{'t' if selection.python.free_threaded else ''}")
    parts.append(VERIFIED if selection.is_verified else "")
    return "/".join(filter(None, parts))
