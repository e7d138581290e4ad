"""`minglibc outdated`: newer releases, what blocks them, and the known vulnerabilities of locked releases."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from minglibc.app.explain import find_outdated
from minglibc.cli.args import ArgumentParser, add_index, add_lock, add_osv, add_targets
from minglibc.cli.output import Terminal, print_json
from minglibc.cli.tables import Cell, Record, print_table
from minglibc.cli.targets import describe_targets, targets_as_json
from minglibc.cli.why import explain_options
from minglibc.errors import EXIT_CANNOT
from minglibc.insight.outdated import ReleaseStatus, Vulnerability, age, condensed

_YEAR = 365.25
_ALL_TARGETS = "all"
# The choices of --fail-on, and the rows that they concern.
_FAILURES: Mapping[str, Callable[[ReleaseStatus], bool]] = {
    "vulnerable": lambda row: bool(row.vulnerabilities),
    "unknown": lambda row: row.vulnerabilities is None or bool(row.vulnerabilities),
    "held-back": lambda row: row.held_back is not None,
    "outdated": lambda row: row.is_behind,
}


def configure(parser: ArgumentParser) -> None:
    """The arguments of `outdated`."""
    parser.add_argument("--all", variable=False, action="store_true", help="also list packages that are up to date")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--fail-on",
        action="append",
        choices=list(_FAILURES),
        help="exit with 1 if this is true of a locked release; unknown includes vulnerable",
    )
    add_lock(parser)
    add_targets(parser)
    add_osv(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print a line for each locked release that is behind or vulnerable."""
    with Terminal.of(arguments) as terminal:
        rows = find_outdated(explain_options(arguments), terminal)
    now = datetime.now(UTC)
    if arguments.json:
        print_json([as_json(row, now) for row in rows])
    else:
        _print(rows, now, everything=arguments.all)
    terminal.info(_summary(rows, everything=arguments.all))
    failed = any(_FAILURES[name](row) for name in arguments.fail_on or () for row in rows)
    return EXIT_CANNOT if failed else 0


def _print(rows: Sequence[ReleaseStatus], now: datetime, *, everything: bool) -> None:
    shown = [row for row in condensed(rows) if everything or row.is_behind or row.vulnerabilities]
    if not shown:
        return
    everywhere = tuple(dict.fromkeys(target for row in rows for target in row.targets))
    heads = ["package", "locked", "age", "newest", "blocked by"]
    cells = [_cells(row, now) for row in shown]
    # The summary says that there is no data.
    if any(row.vulnerabilities is not None for row in rows):
        heads.append("vulnerabilities")
        cells = [
            [*line, Cell(vulnerabilities(row), "red" if row.vulnerabilities else "")]
            for line, row in zip(cells, shown, strict=True)
        ]
    if any(set(row.targets) != set(everywhere) for row in shown):
        heads.append("targets")
        cells = [
            [
                *line,
                Cell(
                    _ALL_TARGETS if set(row.targets) == set(everywhere) else describe_targets(row.targets, everywhere)
                ),
            ]
            for line, row in zip(cells, shown, strict=True)
        ]
    print_table([Cell(head) for head in heads], cells, lambda: (_record(heads, line) for line in cells))


def _cells(row: ReleaseStatus, now: datetime) -> list[Cell]:
    style = "yellow" if row.held_back else ""
    return [
        Cell(row.name, "bold"),
        Cell(row.locked),
        Cell(age_text(row.locked_on, now)),
        Cell(row.newest, style),
        Cell(blocked_by(row), style),
    ]


def _record(heads: Sequence[str], line: Sequence[Cell]) -> Record:
    """A row for a narrow terminal: the versions beside the name, and a line for each other column."""
    name, locked, locked_age, newest, blocked, *more = line
    versions = locked.text if locked.text == newest.text else f"{locked.text} → {newest.text}"
    title = Cell(f"{name.text} {versions}, {locked_age.text} old", name.style)
    others = zip(heads[5:], more, strict=True)
    lines = [Cell(f"{head}: {cell.text}", cell.style) for head, cell in others if cell.text != _ALL_TARGETS]
    return Record(title, [blocked, *lines] if blocked.text else lines)


def blocked_by(row: ReleaseStatus) -> str:
    """What blocks the newest release, and the cap that would allow a newer one."""
    if row.obstacle is None:
        return ""
    held = row.held_back
    if held is None or held.version == row.newest:
        return row.obstacle.text
    return f"{row.obstacle.text}; {held.version} needs {held.needs.named}"


def vulnerabilities(row: ReleaseStatus) -> str:
    """The known vulnerabilities with their fixes; "unknown" where the index has no data."""
    if row.vulnerabilities is None:
        return "unknown"
    return "; ".join(_vulnerability(vulnerability) for vulnerability in row.vulnerabilities) or "none known"


def _vulnerability(vulnerability: Vulnerability) -> str:
    names = vulnerability.advisory.names
    remedy = vulnerability.remedy
    if remedy is None:
        fixed = vulnerability.advisory.fixed_in
        return f"{names} (fixed in {', '.join(fixed)}, not available)" if fixed else f"{names} (no fix known)"
    availability = f"needs {remedy.needs.named}" if remedy.needs else "within the cap"
    return f"{names} (fixed in {remedy.version}, {availability})"


def age_text(day: str, now: datetime) -> str:
    """The age of a release in days, months or years."""
    days = age(day, now)
    if days is None:
        return "?"
    if days < 60:
        return f"{days} d"
    if days < 2 * _YEAR:
        return f"{days / _YEAR * 12:.0f} mo"
    return f"{days / _YEAR:.1f} y"


def _summary(rows: Sequence[ReleaseStatus], *, everything: bool) -> str:
    behind = _names(row for row in rows if row.is_behind)
    held_back = _names(row for row in rows if row.held_back)
    vulnerable = _names(row for row in rows if row.vulnerabilities)
    unknown = _names(row for row in rows if row.vulnerabilities is None)
    unwanted = _names(row for row in rows if row.obstacle is not None and not row.is_behind) - behind
    parts = [
        f"{len(behind)} of {len(_names(rows))} packages have a newer release",
        f"{len(held_back)} held back by the cap",
        f"{len(vulnerable)} with known vulnerabilities",
    ]
    if unknown:
        parts.append(f"{len(unknown)} without vulnerability data")
    if unwanted and not everything:
        parts.append(f"{len(unwanted)} with only pre-releases or yanked releases above (listed by --all)")
    return "; ".join(parts)


def _names(rows: Iterable[ReleaseStatus]) -> set[str]:
    return {row.name for row in rows}


def as_json(row: ReleaseStatus, now: datetime) -> dict[str, Any]:
    """One row in the form that docs/reference/json/outdated.schema.json describes."""
    held = row.held_back
    return {
        "name": row.name,
        "locked": row.locked,
        "newest": row.newest,
        "behind": row.is_behind,
        "reason": row.obstacle.reason if row.obstacle else None,
        "detail": row.obstacle.text if row.obstacle else "",
        "needs": str(row.obstacle.needs) if row.obstacle and row.obstacle.needs else None,
        "held-back": {"version": held.version, "needs": str(held.needs)} if held else None,
        "uploaded": row.locked_on or None,
        "newest-uploaded": row.newest_on or None,
        "age-days": age(row.locked_on, now),
        "targets": targets_as_json(row.targets),
        "vulnerabilities": None
        if row.vulnerabilities is None
        else [vulnerability_as_json(vulnerability) for vulnerability in row.vulnerabilities],
    }


def vulnerability_as_json(vulnerability: Vulnerability) -> dict[str, Any]:
    """A vulnerability and its remedy."""
    advisory, remedy = vulnerability
    return {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "summary": advisory.summary,
        "link": advisory.link,
        "fixed-in": list(advisory.fixed_in),
        "remedy": {"version": remedy.version, "needs": str(remedy.needs) if remedy.needs else None} if remedy else None,
    }
