"""The changes of a sync: wheels are downloaded or built, checked and installed in one transaction."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from packaging.pylock import Package, PackageWheel

from minglibc.app.indexes import credentials_for
from minglibc.app.lenient_settings import overridden_names, project_name
from minglibc.app.locked_project import build, digest_of, download_of, open_builder, path_of
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.sync_options import HARDLINK, SyncOptions
from minglibc.app.sync_plan import LockedPackages, SyncPlan, shares_files
from minglibc.cache import unpacked_wheels
from minglibc.cache.wheels import LockedFile as Download
from minglibc.errors import WheelError
from minglibc.index.downloads import Wheelhouse
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.file_conflicts import Overwritten
from minglibc.install.plan import Action, unmet
from minglibc.install.transaction import Prepared, direct_url
from minglibc.lock.locked_files import LockedFolder, version_of
from minglibc.lock.selection import check_python

if TYPE_CHECKING:
    from minglibc.app.source_builds import SourceBuilder
    from minglibc.install.wheel import CheckedWheel
    from minglibc.lock.locked_files import LockedFile


class Installation(NamedTuple):
    """What an installation needs: the environment, the locked packages, and the options of the command."""

    environment: Environment
    locked: LockedPackages
    common: CommonOptions
    options: SyncOptions
    reporter: Reporter

    def apply(self, steps: SyncPlan) -> "Sequence[CheckedWheel]":
        """Change the environment as *steps* say; the wheels that were installed."""
        arriving = set(steps.plan.names(Action.INSTALL, Action.REINSTALL))
        packages = [(package, file) for package, file in self.locked.packages if package.name in arriving]
        wheels = [file for _, file in packages if isinstance(file, PackageWheel)]
        sources = [(package, file) for package, file in packages if not isinstance(file, PackageWheel)]
        with transaction.begin(self.environment) as change, ExitStack() as stack:
            self._download(wheels, change)
            built = self._build(sources, stack)
            if project_name(self.locked.project.pyproject) in arriving:
                built.append(self._build_project(stack))
            sharing = self._sharing()
            installed = change.prepare(built, steps.kept, steps.removed, sharing)
            self._check(installed)
            self._report(installed, change.overwritten)
            with _signals_blocked():
                change.apply(steps.removed, steps.kept)
        return installed

    def _sharing(self) -> set[str]:
        """The packages whose files may overwrite those of another: all that another sync can install again."""
        if not shares_files(self.locked.project.pyproject):
            return set()
        return {str(package.name) for package, _ in self.locked.packages}

    def _report(self, wheels: "Sequence[CheckedWheel]", overwritten: Sequence[Overwritten]) -> None:
        for wheel in wheels:
            for note in wheel.notes:
                self.reporter.info(f"{wheel.filename}: {note}", level=1)
        for winner, loser, paths in overwritten:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self.reporter.warn(
                f"{loser} and {winner} have different files at the same path; those of {winner} are installed: "
                f"{paths[0]}{more}"
            )

    def _download(self, wheels: Sequence[PackageWheel], change: transaction.Transaction) -> None:
        """Download wheels, and unpack each as soon as it has arrived."""
        project = self.locked.project
        cache = self.common.cache_folder
        linked = self.options.link_mode == HARDLINK
        unpacked = unpacked_wheels.home(cache, self.environment.layout.prefix) if linked else ""
        files = [download_of(wheel, project.folder) for wheel in wheels]
        positions = {file.filename: position for position, file in enumerate(files)}
        house = Wheelhouse(
            cache,
            offline=self.common.offline,
            credentials=credentials_for(project.pyproject, project.lock, self.common.index_url, self.common.indexes),
            on_progress=self.reporter.downloading,
            on_warning=self.reporter.warn,
            on_detail=self.reporter.details,
        )
        with house, change.unpacking([file.size for file in files]) as unpack:

            def arrived(file: Download, path: str) -> None:
                position = positions[file.filename]
                digest = digest_of(wheels[position], project.folder)
                kept = unpacked and os.path.join(unpacked, digest.replace(":", "-"))
                content = ":".join(file.digest)
                identity = house.identity(path)
                wheel = Prepared(path, file.filename, digest, unpacked=kept, content=content, identity=identity)
                unpack(position, wheel)

            house.fetch(files, arrived)
            if files:
                self.reporter.installing(len(files))

    def _build(self, sources: "Sequence[tuple[Package, LockedFile]]", stack: ExitStack) -> list[Prepared]:
        if not sources:
            return []
        builder = stack.enter_context(
            open_builder(
                self.locked.project,
                [self.locked.target],
                self.common,
                self.reporter,
                frozen=self.options.selection.frozen,
            )
        )
        return [self._build_one(package, file, builder) for package, file in sources]

    def _build_one(self, package: Package, file: "LockedFile", builder: "SourceBuilder") -> Prepared:
        folder = self.locked.project.folder
        # Before the build: the next sync detects changes that are made during it.
        digest = digest_of(file, folder)
        wheel = build((package, file), folder, builder, self.locked.target, self.environment.interpreter)
        if not isinstance(file, LockedFolder):
            return Prepared(wheel.path, wheel.filename, digest, content=f"sha256:{wheel.sha256}")
        url = direct_url(path_of(file, folder), editable=file.editable)
        return Prepared(wheel.path, wheel.filename, digest, url, content=f"sha256:{wheel.sha256}")

    def _build_project(self, stack: ExitStack) -> Prepared:
        from minglibc.app.editable_project import build_editable  # noqa: PLC0415  60 ms, and few projects have a backend

        locked = self.locked
        interpreter = self.environment.interpreter
        return stack.enter_context(
            build_editable(locked.project, interpreter, locked.target, self.common, self.reporter)
        )

    def _check(self, wheels: "Sequence[CheckedWheel]") -> None:
        """Raise an error where a wheel requires what the lock does not have, or another Python."""
        locked = {str(package.name): version_of(package) for package, _ in self.locked.packages}
        # The versions of local projects are not locked.
        ignored = overridden_names(self.locked.project.pyproject) | {n for n, version in locked.items() if not version}
        for wheel in wheels:
            missing = unmet(wheel.requires, locked, self.locked.target, ignored)
            if missing:
                raise WheelError(
                    f"{wheel.filename} requires {missing}, which is not in the lock",
                    hint="nothing was installed: the index's metadata differ from those in the wheel; "
                    "add the requirement to pyproject.toml and run `minglibc lock`",
                )
            # The lock has requires-python only where all wheels of a package agree.
            name = f"{wheel.name} {wheel.version}"
            check_python(self.environment.interpreter.machine, {name: wheel.requires_python})


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delay signals until the environment is consistent, which takes milliseconds."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
