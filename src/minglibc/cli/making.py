"""Wheels of what is no wheel: built here in isolation, kept, and held against the cap before anybody gets them."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from typing import Any, NamedTuple, Self

from minglibc.audit.binaries import of_wheel
from minglibc.audit.rules import Kind, audit
from minglibc.build.backend import BuildError
from minglibc.build.sdist import opened
from minglibc.cache.built_wheels import Built, BuiltWheels, builder_name
from minglibc.cli.locking import Work
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.cli.rooms import Job, Supply, build
from minglibc.config.settings import Settings
from minglibc.errors import EnvironmentProblem, ResolutionError, WheelError
from minglibc.index.client import Index, NotStatic
from minglibc.index.downloads import LockedFile, Wheelhouse, file_of
from minglibc.index.remote_metadata import read_wheel
from minglibc.install import environment as environments
from minglibc.install.environment import Interpreter
from minglibc.lock.selection import Machine
from minglibc.model.artifacts import FileSource, Sdist, Wheel
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata, check_metadata, parse_metadata, parse_pkg_info
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Cap, Target
from minglibc.resolve.resolver import Resolution

# One machine builds all releases of a project against one C library: when so many were refused, the others will be.
_MOST_REFUSED = 3


class Release(NamedTuple):
    """A source distribution as a lock or an index names it, and the release that it is."""

    name: str
    version: str
    file: LockedFile

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def digest(self) -> str:
        """What names its builds."""
        return ":".join(self.file.digest)


class Unfit(WheelError):
    """What was built is nothing that the target can have; *why* says the reason, after "it", *rejection* for the resolver."""

    def __init__(self, what: "Release | Neighbour", target: Target, why: "Unfitness") -> None:
        super().__init__(f"{what}, as it is built here, is nothing for {target}: it {why.text}", hint=_hint(what))
        self.why = why.text
        self.rejection = why.rejection


class Unfitness(NamedTuple):
    """Why a target can't have a build, in words that follow "it"; *needs* is the lowest cap that would let it in."""

    text: str
    needs: Cap | None = None

    @property
    def rejection(self) -> Rejection:
        """The same as the resolver has it."""
        if self.needs is None:
            return Rejection(Reason.UNUSABLE, f"it {self.text}")
        return Rejection(Reason.GLIBC if self.needs.libc == "glibc" else Reason.NEWER_MUSL, str(self.needs))


class Neighbour(NamedTuple):
    """A project in a folder of this machine."""

    name: str
    place: str
    editable: bool = False

    def __str__(self) -> str:
        return f"{self.name} in {self.place}"


class Maker:
    """Builds each source once for an interpreter, and remembers it on disk; without *builds* it only remembers."""

    def __init__(self, supply: Supply, targets: Sequence[Target], *, builds: bool = True) -> None:
        self._supply = supply
        self._targets = targets
        self._builds = builds
        self._built = BuiltWheels(cache_folder(supply.arguments))
        self._stack = ExitStack()
        self._house: Wheelhouse | None = None
        self._scratch = ""
        self._inspected: dict[str, Interpreter | None] = {}
        self._known: dict[str, list[Built]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def metadata(self, release: Release) -> CoreMetadata:
        """What *release* requires: as it says itself where that holds for every build (PEP 643), else as a build of it says."""
        kept = self._kept(release)
        if not kept:
            with opened(self._path(release.file), release.file.filename) as source:
                text = source.pkg_info()
            found = parse_pkg_info(text)
            if found is not None:
                return found
            if not self._builds:
                raise NotStatic(f"what {release.file.filename} requires is known once it is built")
            target = self._targets[0]
            kept = [self._build(release, self._interpreters(target)[0])]
        return _metadata(kept[0])

    def wheel(self, release: Release, target: Target, interpreter: Interpreter | None = None) -> Built:
        """A wheel of *release* that *target* can have, built by *interpreter* or by what is on PATH; raises Unfit, MinglibcError."""
        fitting = [built for built in self._kept(release) if not self._unfitness(built, release, target)]
        if fitting:
            return fitting[0]
        if not self._builds:
            raise Unfit(release, target, Unfitness("was not built here"))
        return self._made(release, target, interpreter, lambda candidate: self._build(release, candidate))

    def folder(self, project: Neighbour, target: Target, interpreter: Interpreter | None = None) -> Built:
        """As ``wheel``, of a folder as it is now, which is built each time; raises Unfit, MinglibcError."""
        return self._made(project, target, interpreter, lambda candidate: self._build_folder(project, candidate))

    def _made(
        self,
        what: Release | Neighbour,
        target: Target,
        interpreter: Interpreter | None,
        build_with: Callable[[Interpreter], Built],
    ) -> Built:
        *others, last = self._interpreters(target, interpreter)
        built = None
        for candidate in others:
            # A backend may be too new for the target's Python, and what it makes need not be.
            with suppress(ResolutionError, EnvironmentProblem):
                built = build_with(candidate)
                break
        built = built or build_with(last)
        if why := self._unfitness(built, what, target):
            raise Unfit(what, target, why)
        return built

    def refusal(self, release: Release, target: Target) -> Rejection | None:
        """Why *target* can't have what was built of *release* before; None where nothing was, or where it can."""
        reasons = [self._unfitness(built, release, target) for built in self._kept(release)]
        found = [reason for reason in reasons if reason is not None]
        return found[0].rejection if found and len(found) == len(reasons) else None

    def is_proven(self, release: Release, target: Target) -> bool:
        """Whether there is a build that *target* can have."""
        return any(not self._unfitness(built, release, target) for built in self._kept(release))

    def _kept(self, release: Release) -> list[Built]:
        if release.digest not in self._known:
            self._known[release.digest] = self._built.of(release.digest)
        return self._known[release.digest]

    @staticmethod
    def _unfitness(built: Built, what: Release | Neighbour, target: Target) -> Unfitness | None:
        """Why *target* can't have *built*; None where it can."""
        if not built.is_pure and not built.builder.startswith(f"{_interpreter_name(target)}-"):
            return Unfitness(f"has compiled files, and there is no {_spoken(target)} here to build it with")
        compatibility = TargetCompatibility(target, allow_linux_tag=[what.name])
        verdict = compatibility.check(Wheel(what.name, "", built.filename, "", source=FileSource.DIRECT_REFERENCE))
        if isinstance(verdict, Rejection):
            return Unfitness(str(verdict))
        findings = audit(of_wheel(built.path, built.filename), [target.architecture], target.cap)
        # A library of the system's own is for `check` to tell: a driver may well be there.
        worst = max(
            (finding for finding in findings if finding.kind is not Kind.LIBRARY),
            key=lambda finding: finding.lowest_cap or target.uncapped.cap,
            default=None,
        )
        if worst is None:
            return None
        needs = worst.version or worst.library or worst.detail
        return Unfitness(
            f"needs {needs} ({worst.path}) when it is built on this machine; the cap is {target.cap}",
            # No other glibc would help a target with musl.
            worst.lowest_cap if target.cap.libc == "glibc" else None,
        )

    def _build(self, release: Release, interpreter: Interpreter) -> Built:
        known = self._known.setdefault(release.digest, [])
        builder = builder_name(interpreter.machine)
        if earlier := [built for built in known if built.builder == builder]:
            return earlier[0]
        python = interpreter.machine.python
        talk(self._supply.arguments, f"Building {release} from {release.file.filename} with CPython {python}")
        scratch = tempfile.mkdtemp(dir=self._room())
        with opened(self._path(release.file), release.file.filename) as source:
            folder = source.unpack(os.path.join(scratch, "source"))
        job = Job(folder, str(release), _hint(release))
        made = build(job, interpreter, self._supply, scratch)
        built = self._built.keep(release.digest, builder, made)
        _check(built, release)
        if not built.path.startswith(scratch):
            shutil.rmtree(scratch, ignore_errors=True)
        known.append(built)
        return built

    def _build_folder(self, project: Neighbour, interpreter: Interpreter) -> Built:
        job = Job(project.place, str(project), _hint(project), "editable" if project.editable else "wheel")
        path = build(job, interpreter, self._supply, tempfile.mkdtemp(dir=self._room()))
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        built = Built(path, os.path.basename(path), sha256, builder_name(interpreter.machine))
        made = normalize_name(_metadata(built).name)
        if made != project.name:
            raise BuildError(f"what was built of {project} is a wheel of {made}", hint=_hint(project))
        return built

    def _interpreters(self, target: Target, own: Interpreter | None = None) -> list[Interpreter]:
        """The best interpreter to build for *target*, and the one that minglibc itself runs on, which will do for what is pure."""
        paths = environments.find_interpreters([target.python])
        inspected = [own, *(self._inspect(path) for path in paths)]
        found = [each for each in inspected if each is not None]
        fitting = [each for each in found if _is_of(each.machine, target)]
        running = [each for each in found if each is not own]
        return list(dict.fromkeys([*fitting[:1], *running[:1]]))

    def _inspect(self, path: str) -> Interpreter | None:
        if path not in self._inspected:
            try:
                self._inspected[path] = environments.inspect(path)
            except EnvironmentProblem:
                self._inspected[path] = None
        return self._inspected[path]

    def _path(self, file: LockedFile) -> str:
        if self._house is None:
            self._house = self._stack.enter_context(self._supply.wheelhouse())
        return self._house.fetch([file])[file.filename]

    def _room(self) -> str:
        if not self._scratch:
            self._scratch = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="minglibc-build-"))
        return self._scratch


def _hint(what: Release | Neighbour) -> str:
    if isinstance(what, Neighbour):
        return "mend the project there, or give this machine what its build asks for"
    return (
        "give this machine what the build asks for, "
        f'or pass over this release by constraints = ["{what.name}!={what.version}"]'
    )


def _is_of(machine: Machine, target: Target) -> bool:
    python, wanted = machine.python, target.python
    same = (python.minor, python.free_threaded) == (wanted.minor, wanted.free_threaded)
    same = same and machine.libc is not None and machine.libc.libc == target.cap.libc
    return same and machine.architecture == target.architecture and machine.implementation == "cpython"


def _interpreter_name(target: Target) -> str:
    return builder_name(Machine(target.python, target.architecture, None)).rpartition("-")[0]


def _spoken(target: Target) -> str:
    return f"CPython {target.python.short}{'t' if target.python.free_threaded else ''} for {target.architecture}"


def _metadata(built: Built) -> CoreMetadata:
    with open(built.path, "rb") as file:
        return parse_metadata(read_wheel(file.read()).decode(errors="replace"))


def _check(built: Built, release: Release) -> None:
    """Raise BuildError where a backend made the wheel of something else."""
    try:
        wrong = check_metadata(_metadata(built), Wheel(release.name, release.version, built.filename, ""))
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise BuildError(
            f"{built.filename}, which was built from {release.file.filename}, can't be used: {wrong}",
            hint=_hint(release),
        )


def release_of(sdist: Sdist, index: Index) -> Release:
    """The release of a source distribution, which is downloaded for its hash where its page gives none."""
    return Release(sdist.name, sdist.version, file_of(sdist if sdist.hash else index.hashed(sdist)))


def maker_of(index: Index, place: str, settings: Settings, arguments: Namespace, *, builds: bool) -> Maker:
    """The maker for a project that is being locked, which tells *index* what sources require."""
    targets = sorted(settings.targets, key=lambda target: target.python)
    maker = Maker(Supply(settings, arguments, place, index.credentials, index.url), targets, builds=builds)
    index.open_sdist = lambda sdist: maker.metadata(release_of(sdist, index))
    return maker


def informed(found: Work, maker: Maker, names: Collection[str]) -> Callable[[Target], TargetCompatibility]:
    """A compatibility for any target, made once, who knows what was built of the projects *names* and refused."""

    @cache
    def compatibility_at(target: Target) -> Any:
        return found.compatibilities[0].at(target).rejecting(dict(refusals(target)), at=compatibility_at)

    def refusals(target: Target) -> Iterator[tuple[str, Rejection]]:
        for name in sorted(found.settings.allow_sdist & set(names)):
            page = found.source.project(name)
            for sdist in (each for position in range(len(page.versions)) for each in page.sdists(position)):
                # One without a hash would be downloaded for it.
                known = maker.refusal(release_of(sdist, found.source), target) if sdist.hash else None
                if known is not None:
                    yield sdist.filename, known

    return compatibility_at


def solve_built(
    found: Work, maker: Maker, solve: Callable[[Work], list[Resolution]], arguments: Namespace
) -> list[Resolution]:
    """As *solve*, on sources that were built and whose files stand within the cap of each target that has them."""
    refused: dict[Target, dict[str, Rejection]] = {compatibility.target: {} for compatibility in found.compatibilities}
    while True:
        compatibilities = tuple(
            compatibility.rejecting(refused[compatibility.target]) for compatibility in found.compatibilities
        )
        answers = solve(found._replace(compatibilities=compatibilities))
        fresh = list(_refusals(found, maker, answers))
        if not fresh:
            return answers
        for target, sdist, unfit in fresh:
            talk(arguments, f"warning: {sdist.filename} is passed over on {target}: it {unfit.why}")
            refused[target] |= _refused(found, sdist, unfit, refused[target])


def _refusals(found: Work, maker: Maker, answers: Sequence[Resolution]) -> Iterator[tuple[Target, Sdist, Unfit]]:
    for answer in answers:
        for sdist in answer.wheels.values():
            if isinstance(sdist, Sdist):
                try:
                    maker.wheel(release_of(sdist, found.source), answer.target)
                except Unfit as error:
                    yield answer.target, sdist, error


def _refused(found: Work, sdist: Sdist, unfit: Unfit, earlier: Mapping[str, Rejection]) -> dict[str, Rejection]:
    """What a refusal adds, by file name; after a few of them, all of the project's sources."""
    page = found.source.project(sdist.name)
    sources = [each.filename for position in range(len(page.versions)) for each in page.sdists(position)]
    if sum(filename in earlier for filename in sources) < _MOST_REFUSED - 1:
        return {sdist.filename: unfit.rejection}
    untried = Rejection(
        Reason.UNUSABLE, f"it was not tried, after builds of {_MOST_REFUSED} other releases were refused"
    )
    return {**dict.fromkeys(sources, untried), **earlier, sdist.filename: unfit.rejection}
