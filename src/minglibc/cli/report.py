"""`minglibc report`: one HTML page of what the cap costs."""

import json
import os
import sys
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from minglibc import __version__
from minglibc.cli import caps, check, outdated
from minglibc.cli.locked import Locked, locked, targets_as_json
from minglibc.cli.options import Namespace, Parser, add_index, add_targets, talk
from minglibc.cli.selection import add_lock
from minglibc.config import project_files
from minglibc.errors import MinglibcError
from minglibc.insight.report import LockedWheel, ReportData, render
from minglibc.lock.document import version_of
from minglibc.model.platform_tags import lowest_libcs

OUTPUT = "minglibc-report.html"


def configure(parser: Parser) -> None:
    """The arguments of `report`."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", default=OUTPUT, help=f"where the page goes; - is stdout (default: {OUTPUT})"
    )
    parser.add_argument(
        "--no-files", action="store_true", help="don't fetch the locked wheels to look at their ELF symbols"
    )
    parser.add_argument("--json", action="store_true", help="print what the page tells as JSON, and write no page")
    add_lock(parser)
    add_targets(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Gather all that the other commands tell, and write the page."""
    with locked(arguments) as found:
        facts = _facts(found, arguments)
    if arguments.json:
        print(json.dumps(as_json(facts), indent=2))
        return 0
    text = render((files("minglibc.insight") / "report.html").read_text("utf-8"), facts)
    if arguments.output == "-":
        sys.stdout.write(text)
        return 0
    try:
        project_files.replace(os.path.abspath(arguments.output), text.encode())
    except OSError as error:
        raise MinglibcError(f"can't write {arguments.output}: {error.strerror}") from error
    talk(arguments, f"Wrote {arguments.output}, {len(text.encode()) / 1000:.0f} kB")
    return 0


def _facts(found: Locked, arguments: Namespace) -> ReportData:
    steps = caps.measure(found.work, arguments)
    place = found.work.inputs.place
    findings = None if arguments.no_files else check.check_lock(found.lock, place, arguments, builds=False).findings
    return ReportData(
        project=found.work.settings.project,
        created=datetime.now(UTC),
        minglibc=__version__,
        targets=found.lock.targets,
        ranges=steps,
        newest=caps.newest_releases(found.work, steps),
        statuses=found.rows(),
        findings=findings,
        wheels=_wheels(found),
    )


def _wheels(found: Locked) -> list[LockedWheel]:
    return [
        LockedWheel(
            str(package.name),
            version_of(package),
            file.filename,
            file.size,
            next(iter(lowest_libcs(file.filename[:-4]).values()), None),
        )
        for package in found.lock.pylock.packages
        for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ()))
    ]


def as_json(facts: ReportData) -> dict[str, Any]:
    """What the page tells, in the form that docs/reference/json/report.schema.json describes."""
    return {
        "project": facts.project,
        "made": facts.created.isoformat(timespec="seconds"),
        "targets": targets_as_json(facts.targets),
        "caps": caps.as_json(facts.ranges, facts.targets),
        "outdated": [outdated.as_json(row, facts.created) for row in facts.statuses],
        "findings": None if facts.findings is None else [check.finding_as_json(finding) for finding in facts.findings],
        "wheels": [
            {
                "name": wheel.name,
                "version": wheel.version,
                "filename": wheel.filename,
                "size": wheel.size,
                "needs": str(wheel.needs) if wheel.needs else None,
            }
            for wheel in facts.wheels
        ],
    }
