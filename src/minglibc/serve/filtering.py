"""Which files of a page a selection has, and why it has no others."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from minglibc.model.compatibility import Reason, Rejection, explain_platform, interpreter_names
from minglibc.model.platform_tags import FOREIGN_PLATFORMS, architecture_of, needed_libc
from minglibc.model.project_page import version_in
from minglibc.model.targets import GlibcVersion, Target, compatible_tags
from minglibc.serve.routes import Selection

# What a server option can add to the Linux wheels, and the beginnings of the platform tags.
SYSTEMS = {"macos": ("macosx",), "windows": ("win",)}
SDIST = "sdist"
ADMISSIBLE = (*SYSTEMS, SDIST)
_INVALID = Rejection(Reason.UNUSABLE, "its file name is not that of a distribution of the project")


class ListedFile(Protocol):
    """An entry of ``files`` in a project page."""

    @property
    def filename(self) -> str:
        """The name of the file."""
        ...


AnyFile = TypeVar("AnyFile", bound=ListedFile)


class Removed(NamedTuple):
    """A file that a page does not have; *version* is empty where the file name is invalid."""

    filename: str
    version: str
    rejection: Rejection


class Filter:
    """Applies a selection to the files of projects; *admitted* are the members of ADMISSIBLE that it has too."""

    def __init__(
        self,
        selection: Selection,
        admitted: Collection[str] = (),
        need_of: Callable[[Any], str] = lambda _file: "",
    ) -> None:
        """*need_of* says what a file is known to need beyond the cap; it is called only for the verified selection."""
        self._selection = selection
        self._allows_sdist = SDIST in admitted
        self._admitted = tuple(prefix for name in admitted for prefix in SYSTEMS.get(name, ()))
        self._need_of = need_of if selection.is_verified else lambda _file: ""
        self._verdicts: dict[str, Rejection | None] = {}
        self._pairs, self._pure_pairs = _pairs_of(selection)

    def apply(self, name: str, files: Iterable[AnyFile]) -> tuple[Mapping[str, list[AnyFile]], Sequence[Removed]]:
        """The files of project *name* that the selection has, by version, and those that were removed."""
        kept: dict[str, list[AnyFile]] = {}
        removed = []
        for file in files:
            version = version_in(file.filename, name)
            if version is None:
                removed.append(Removed(file.filename, "", _INVALID))
            elif (rejection := self._check(file)) is not None:
                removed.append(Removed(file.filename, version, rejection))
            else:
                kept.setdefault(version, []).append(file)
        return kept, removed

    def _check(self, file: ListedFile) -> Rejection | None:
        if not file.filename.endswith(".whl"):
            return None if self._allows_sdist else Rejection(Reason.SOURCE_ONLY)
        tags = file.filename[:-4].rsplit("-", 3)[1:]
        key = "-".join(tags)
        if key not in self._verdicts:
            self._verdicts[key] = self._check_tags(*tags)
        rejection = self._verdicts[key]
        if rejection is None and (need := self._need_of(file)):
            return Rejection(Reason.UNUSABLE, f"its tag understates what it needs: {need}")
        return rejection

    def _check_tags(self, interpreters: str, abis: str, platforms: str) -> Rejection | None:
        """Why the selection has no wheel with these tags."""
        listed = platforms.split(".")
        is_loaded = is_loaded_purely = True
        if self._pairs is not None:
            pairs = {f"{interpreter}-{abi}" for interpreter in interpreters.split(".") for abi in abis.split(".")}
            # cp38-none-any is for CPython 3.8 alone, and cp38-abi3 for later ones too.
            is_loaded, is_loaded_purely = not pairs.isdisjoint(self._pairs), not pairs.isdisjoint(self._pure_pairs)
        if "any" in listed and is_loaded_purely:
            return None
        if not is_loaded or listed == ["any"]:
            return Rejection(Reason.INTERPRETER, interpreter_names(interpreters, abis))
        if linux := [name for name in listed if not name.startswith((*FOREIGN_PLATFORMS, "any"))]:
            return self._check_linux(linux)
        is_admitted = not self._selection.architecture and any(name.startswith(self._admitted) for name in listed)
        return None if is_admitted else explain_platform(listed[0], "", self._selection.cap.libc)

    def _check_linux(self, platforms: Sequence[str]) -> Rejection | None:
        """Every architecture that is named has a tag within the cap: an installer uses any tag that its machine has."""
        cap = self._selection.cap
        by_architecture: dict[str, list[str]] = {}
        for platform in platforms:
            by_architecture.setdefault(architecture_of(platform), []).append(platform)
        if self._selection.architecture:
            named = by_architecture.get(self._selection.architecture)
            if named is None:
                return Rejection(Reason.ARCHITECTURE, ", ".join(filter(None, by_architecture)) or platforms[0])
            by_architecture = {self._selection.architecture: named}
        for architecture, named in by_architecture.items():
            needs = [needed_libc(platform) for platform in named]
            if not any(need is not None and need.libc == cap.libc and need <= cap for need in needs):
                return min((explain_platform(platform, architecture, cap.libc) for platform in named), key=_nearness)
        return None


def _nearness(rejection: Rejection) -> tuple[bool, tuple[int, ...]]:
    return rejection.needs is None, tuple(rejection.needs or ())


def _pairs_of(selection: Selection) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The pairs of interpreter and ABI that the selection's Python loads, for Linux wheels and for pure ones; None: all."""
    if selection.python is None:
        return None, frozenset()
    # The pairs are the same for each architecture and cap.
    tags = compatible_tags(Target(selection.python, "x86_64", GlibcVersion(2, 17)))
    pure = frozenset(tag.removesuffix("-any") for tag in tags if tag.endswith("-any"))
    return frozenset(tag.rpartition("-")[0] for tag in tags if not tag.endswith("-any")), pure
