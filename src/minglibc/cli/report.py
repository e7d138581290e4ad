"""`minglibc report`: an HTML page with the results of `caps`, `outdated` and `check`."""

import os
import sys
from argparse import Namespace
from importlib.resources import files
from typing import Any

from minglibc.app.report import gather_report
from minglibc.cli import caps, check, outdated
from minglibc.cli.args import ArgumentParser, add_index, add_lock, add_osv, add_targets
from minglibc.cli.output import Terminal, print_json
from minglibc.cli.targets import targets_as_json
from minglibc.cli.why import explain_options
from minglibc.config import atomic_file
from minglibc.errors import MinglibcError
from minglibc.insight.report import ReportData, render

OUTPUT = "minglibc-report.html"


def configure(parser: ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="FILE",
        default=OUTPUT,
        help=f"the file to write; - is stdout (default: {OUTPUT})",
    )
    parser.add_argument(
        "--no-files", action="store_true", help="don't download the locked wheels to check their binaries"
    )
    parser.add_argument("--json", action="store_true", help="print the contents as JSON instead of writing a page")
    add_lock(parser)
    add_targets(parser)
    add_osv(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Gather the contents and write the page."""
    with Terminal.of(arguments) as terminal:
        data = gather_report(explain_options(arguments), terminal, check_files=not arguments.no_files)
    if arguments.json:
        print_json(as_json(data))
        return 0
    text = render((files("minglibc.insight") / "report.html").read_text("utf-8"), data)
    if arguments.output == "-":
        sys.stdout.write(text)
        return 0
    try:
        atomic_file.replace(os.path.abspath(arguments.output), text.encode())
    except OSError as error:
        raise MinglibcError(f"can't write {arguments.output}: {error.strerror}") from error
    terminal.info(f"Wrote {arguments.output}, {len(text.encode()) / 1000:.0f} kB")
    return 0


def as_json(data: ReportData) -> dict[str, Any]:
    """The contents in the form that docs/reference/json/report.schema.json describes."""
    return {
        "project": data.project,
        "made": data.created.isoformat(timespec="seconds"),
        "targets": targets_as_json(data.targets),
        "caps": caps.as_json(data.ranges, data.targets),
        "outdated": [outdated.as_json(row, data.created) for row in data.statuses],
        "findings": None if data.findings is None else [check.finding_as_json(finding) for finding in data.findings],
        "wheels": [
            {
                "name": wheel.name,
                "version": wheel.version,
                "filename": wheel.filename,
                "size": wheel.size,
                "needs": str(wheel.needs) if wheel.needs else None,
            }
            for wheel in data.wheels
        ],
    }
