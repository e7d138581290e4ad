"""The use cases of `why` and `outdated`: a lock is read again with the pages that it was made from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.lock_file import read_lock_file
from minglibc.app.lock_request import request_of
from minglibc.app.named_distributions import ends_of_life
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from minglibc.cache.pages import Store
from minglibc.config.settings import TOOLCHAINS, Overrides
from minglibc.errors import ProjectNotFound, SettingsError
from minglibc.index.addresses import is_local
from minglibc.index.vulnerabilities import Advisories
from minglibc.insight.held_back import HeldBack, held_back
from minglibc.insight.outdated import ReleaseStatus, outdated, releases, with_pinned, with_vulnerabilities
from minglibc.insight.replay import CompatibilityAt, replay
from minglibc.insight.why import Explainer, Explanation, explain
from minglibc.lock.reader import Lock
from minglibc.model.requirements import normalize_name
from minglibc.resolve.resolution import Resolution

if TYPE_CHECKING:
    from minglibc.insight.vulnerabilities import Known


class ExplainOptions(NamedTuple):
    """The lock to explain."""

    common: CommonOptions = CommonOptions()
    lock: str | None = None
    """The path of a lock; None: the project's."""
    overrides: Overrides = Overrides()
    """The targets that the lock was made for, where they are not those in [tool.minglibc]."""
    osv: bool = False
    """Whether to ask OSV's API about releases of the public index that the index has no vulnerability data for."""
    osv_file: str | None = None
    """The path of an export of OSV: a zip archive or a folder."""


class ExplainedLock(NamedTuple):
    """A lock with its resolutions and the session that they were read in."""

    lock: Lock
    session: Session
    resolutions: list[Resolution]
    compatibility_at: CompatibilityAt
    explainer: Explainer
    advisories: "Callable[..., Known]"
    """The known vulnerabilities of releases, as ``Advisories.of`` returns them."""
    pyproject: str | None
    """The text of pyproject.toml, if the lock has one."""

    def report_ends_of_life(self, reporter: Reporter) -> None:
        """Warn of distributions that the settings name and that are no longer supported."""
        for sentence in ends_of_life(self.pyproject, datetime.now(UTC).date()):
            reporter.warn(sentence)

    def outdated(self) -> list[ReleaseStatus]:
        """Each locked release compared with the newest, with its known vulnerabilities."""
        rows = with_pinned(outdated(self.resolutions, self.explainer), self._held_back())
        locked, newest = releases(rows)
        return with_vulnerabilities(rows, self.advisories(locked, newest=newest), self.explainer, self.compatibility_at)

    def _held_back(self) -> Sequence[HeldBack]:
        """What `lock` prints as held back by the cap."""
        compatibilities = [self.compatibility_at(resolution.target) for resolution in self.resolutions]
        try:
            return held_back(self.resolutions, compatibilities, self.session.wheel_index)
        except ProjectNotFound:
            return ()  # the index no longer has a locked project


@contextmanager
def open_lock(options: ExplainOptions, reporter: Reporter) -> Iterator[ExplainedLock]:
    """The lock that *options* name; raises LockError where it is missing or invalid."""
    lock_file = read_lock_file(options.common, options.lock)
    lock, request = lock_file.lock, request_of(lock_file, options.overrides)
    if not request.is_current(lock.inputs):
        reporter.warn(f"{request.name} is stale; this describes the lock as it is")
    preferences = {str(package.name): str(package.version) for package in lock.pylock.packages if package.version}
    with open_session(request, options.common, reporter, preferences=preferences) as session:
        compatibility_at: CompatibilityAt = session.compatibilities[0].at
        if session.builder is not None:
            from minglibc.app.built_resolution import compatibility_with_builds  # noqa: PLC0415  150 ms; few build

            compatibility_at = compatibility_with_builds(session, session.builder, preferences)
        resolutions = replay(
            lock,
            session.roots,
            compatibility_at,
            session.wheel_index,
            policy=session.policy,
            folder=session.inputs.folder,
        )
        explainer = Explainer(
            session.wheel_index,
            compatibility_at,
            session.policy,
            resolutions=resolutions,
            builds=session.settings.toolchain != TOOLCHAINS[0],
        )
        advisories = open_advisories(session, options, reporter)
        yield ExplainedLock(lock, session, resolutions, compatibility_at, explainer, advisories, request.pyproject)


def open_advisories(session: Session, options: ExplainOptions, reporter: Reporter) -> "Callable[..., Known]":
    """The vulnerabilities that the project's default index publishes and, where it has none, those of OSV."""
    index, common = session.wheel_index, options.common

    def is_of_default_index(name: str) -> bool:
        return not is_local(index.url) and index.homes.get(name, index.url) == index.url

    store = Store(common.cache_folder)
    advisories = Advisories(
        index.url,
        store,
        offline=common.offline,
        credentials=index.credentials,
        concerns=is_of_default_index,
        on_trouble=reporter.warn,
    )
    if not options.osv and options.osv_file is None:
        return advisories.of
    from minglibc.app import osv  # noqa: PLC0415  only with its options

    sources = []
    if options.osv_file is not None:
        sources.append(osv.open_file(options.osv_file, is_of_default_index))
    if options.osv:
        sources.append(osv.open_api(common, store, index.homes, reporter))
    return osv.with_sources(advisories.of, sources, reporter)


def explain_selection(name: str, options: ExplainOptions, reporter: Reporter = SILENT) -> list[Explanation]:
    """Why the locked release of *name* was selected, for each group of targets; raises SettingsError if it is not locked."""
    name = normalize_name(name)
    with open_lock(options, reporter) as explained:
        answers = explain(name, explained.resolutions, explained.explainer)
        if not answers:
            raise _not_locked(name, explained.lock)
        return answers


def _not_locked(name: str, lock: Lock) -> SettingsError:
    close = get_close_matches(name, [str(package.name) for package in lock.pylock.packages], 1)
    source = lock.source
    hint = f"did you mean {close[0]}?" if close else f"nothing in {source.name} requires it for any target"
    return SettingsError(f"{name} is not in {source.lock}", hint=hint)


def find_outdated(options: ExplainOptions, reporter: Reporter = SILENT) -> Sequence[ReleaseStatus]:
    """Each locked release compared with the newest, with its known vulnerabilities."""
    with open_lock(options, reporter) as explained:
        explained.report_ends_of_life(reporter)
        return explained.outdated()
