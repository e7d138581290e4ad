"""The use case of `report`: what `caps`, `outdated` and `check` find, for one page."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from minglibc import __version__
from minglibc.app.caps import compare_session
from minglibc.app.explain import ExplainedLock, ExplainOptions, open_lock
from minglibc.app.reporter import SILENT, Reporter
from minglibc.audit.rules import Finding
from minglibc.insight.report import LockedWheel, ReportData
from minglibc.lock.locked_files import version_of
from minglibc.lock.reader import Lock
from minglibc.model.platform_tags import lowest_libcs

CheckLock = Callable[[Lock, str], Sequence[Finding]]
"""Checks the files of a lock in a folder."""


def gather_report(
    options: ExplainOptions, reporter: Reporter = SILENT, *, check: CheckLock | None = None
) -> ReportData:
    """The contents of the report; without *check* the locked files are not read."""
    with open_lock(options, reporter) as explained:
        session = explained.session
        caps = compare_session(session, options.common, reporter)
        return ReportData(
            project=session.settings.project,
            created=datetime.now(UTC),
            minglibc=__version__,
            targets=explained.lock.targets,
            ranges=caps.ranges,
            newest=caps.newest,
            statuses=explained.outdated(),
            findings=None if check is None else check(explained.lock, session.inputs.folder),
            wheels=_wheels(explained),
        )


def _wheels(explained: ExplainedLock) -> list[LockedWheel]:
    return [
        LockedWheel(
            str(package.name),
            version_of(package),
            file.filename,
            file.size,
            next(iter(lowest_libcs(file.filename[:-4]).values()), None),
        )
        for package in explained.lock.pylock.packages
        for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ()))
    ]
