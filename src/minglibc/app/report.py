"""The use case of `report`: what `caps`, `outdated` and `check` find, for one page."""

from datetime import UTC, datetime

from minglibc import __version__
from minglibc.app.caps import compare_session
from minglibc.app.check import check_lock
from minglibc.app.check_caps import CheckOptions
from minglibc.app.explain import ExplainedLock, ExplainOptions, open_lock
from minglibc.app.reporter import SILENT, Reporter
from minglibc.audit.rules import Finding
from minglibc.insight.report import LockedWheel, ReportData
from minglibc.insight.vulnerabilities import ATTRIBUTION
from minglibc.lock.built_from import built_from
from minglibc.lock.locked_files import version_of
from minglibc.model.platform_tags import lowest_libcs


def gather_report(options: ExplainOptions, reporter: Reporter = SILENT, *, check_files: bool = True) -> ReportData:
    """The contents of the report; without *check_files* the locked files are not downloaded."""
    with open_lock(options, reporter) as explained:
        explained.report_ends_of_life(reporter)
        session = explained.session
        caps = compare_session(session, options, reporter)
        return ReportData(
            project=session.settings.project,
            created=datetime.now(UTC),
            minglibc=__version__,
            targets=explained.lock.targets,
            ranges=caps.ranges,
            newest=caps.newest,
            statuses=explained.outdated(),
            findings=_findings(explained, options, reporter) if check_files else None,
            wheels=_wheels(explained),
            attribution=ATTRIBUTION if options.osv or options.osv_file is not None else "",
        )


def _findings(explained: ExplainedLock, options: ExplainOptions, reporter: Reporter) -> list[Finding]:
    checked = CheckOptions(options.common, options.lock, options.overrides)
    return check_lock(explained.lock, explained.session.inputs.folder, checked, reporter, builds=False).findings


def _wheels(explained: ExplainedLock) -> list[LockedWheel]:
    return [
        LockedWheel(
            str(package.name),
            version_of(package),
            file.filename,
            file.size,
            next(iter(lowest_libcs(file.filename[:-4]).values()), None),
            built[file.filename].grafted if file.filename in built else (),
        )
        for package in explained.lock.pylock.packages
        for built in (built_from(package),)
        for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ()))
    ]
