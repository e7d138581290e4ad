"""`minglibc outdated`: what is newer than the lock, what keeps it out, and what is known against what is locked."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from minglibc.cli.locked import locked, spoken, targets_as_json
from minglibc.cli.options import Namespace, Parser, add_index, add_targets, talk
from minglibc.cli.selection import add_lock
from minglibc.cli.table import print_table
from minglibc.errors import EXIT_CANNOT
from minglibc.insight.outdated import ReleaseStatus, Vulnerability, age, condensed

_YEAR = 365.25
# --fail-on → whether a row is a reason to.
_FAILURES: Mapping[str, Callable[[ReleaseStatus], bool]] = {
    "vulnerable": lambda row: bool(row.vulnerabilities),
    "unknown": lambda row: row.vulnerabilities is None or bool(row.vulnerabilities),
    "held-back": lambda row: row.held_back is not None,
    "outdated": lambda row: row.is_behind,
}


def configure(parser: Parser) -> None:
    """The arguments of `outdated`."""
    parser.add_argument("--all", action="store_true", help="list the releases that are the newest, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--fail-on",
        action="append",
        choices=list(_FAILURES),
        help="exit 1 if a locked release is so; unknown: is vulnerable, or not known not to be",
    )
    add_lock(parser)
    add_targets(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print a line for each locked release that is behind or vulnerable."""
    with locked(arguments) as found:
        rows = found.rows()
    now = datetime.now(UTC)
    if arguments.json:
        print(json.dumps([as_json(row, now) for row in rows], indent=2))
    else:
        _print(rows, now, everything=arguments.all)
    _summarize(rows, arguments)
    failed = any(_FAILURES[name](row) for name in arguments.fail_on or () for row in rows)
    return EXIT_CANNOT if failed else 0


def _print(rows: Sequence[ReleaseStatus], now: datetime, *, everything: bool) -> None:
    shown = [row for row in condensed(rows) if everything or row.is_behind or row.vulnerabilities]
    if not shown:
        return
    everywhere = tuple(dict.fromkeys(target for row in rows for target in row.targets))
    heads = ["package", "locked", "age", "newest", "why not", "vulnerabilities"]
    cells = [
        [row.name, row.locked, spoken_age(row.locked_on, now), row.newest, why_not(row), vulnerabilities(row)]
        for row in shown
    ]
    if any(set(row.targets) != set(everywhere) for row in shown):
        heads.append("on")
        cells = [
            [*line, "all" if set(row.targets) == set(everywhere) else spoken(row.targets, everywhere)]
            for line, row in zip(cells, shown, strict=True)
        ]
    print_table(heads, cells)


def why_not(row: ReleaseStatus) -> str:
    """What keeps the newest release out, and the cap that would let one in."""
    if row.obstacle is None:
        return ""
    held = row.held_back
    if held is None or held.version == row.newest:
        return row.obstacle.text
    return f"{row.obstacle.text}; {held.version} needs {held.needs.named}"


def vulnerabilities(row: ReleaseStatus) -> str:
    """The known vulnerabilities with their mend; "unknown" where the index does not say."""
    if row.vulnerabilities is None:
        return "unknown"
    return "; ".join(_vulnerability(each) for each in row.vulnerabilities) or "none known"


def _vulnerability(vulnerability: Vulnerability) -> str:
    names = vulnerability.advisory.names
    mend = vulnerability.remedy
    if mend is None:
        fixed = vulnerability.advisory.fixed_in
        return f"{names} (fixed in {', '.join(fixed)}, out of reach)" if fixed else f"{names} (no fix known)"
    reach = f"needs {mend.needs.named}" if mend.needs else "within the cap"
    return f"{names} (fixed in {mend.version}, {reach})"


def spoken_age(day: str, now: datetime) -> str:
    """How old a release is, in the unit that people would say."""
    days = age(day, now)
    if days is None:
        return "?"
    if days < 60:
        return f"{days} d"
    if days < 2 * _YEAR:
        return f"{days / _YEAR * 12:.0f} mo"
    return f"{days / _YEAR:.1f} y"


def _summarize(rows: Sequence[ReleaseStatus], arguments: Namespace) -> None:
    names = {row.name for row in rows}
    behind = _names(row for row in rows if row.is_behind)
    held = _names(row for row in rows if row.held_back)
    vulnerable = _names(row for row in rows if row.vulnerabilities)
    unknown = _names(row for row in rows if row.vulnerabilities is None)
    aside = _names(row for row in rows if row.obstacle is not None and not row.is_behind) - behind
    parts = [f"{len(behind)} of {len(names)} packages have a newer release", f"the cap holds back {len(held)}"]
    parts.append(f"{len(vulnerable)} are known to be vulnerable")
    if unknown:
        parts.append(f"of {len(unknown)} the index does not say")
    if aside and not arguments.all:
        parts.append(f"above {len(aside)} there are only pre-releases and yanked releases (--all lists them)")
    talk(arguments, "; ".join(parts))


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
        else [vulnerability_as_json(each) for each in row.vulnerabilities],
    }


def vulnerability_as_json(vulnerability: Vulnerability) -> dict[str, Any]:
    """One vulnerability and its mend."""
    advisory, mend = vulnerability
    return {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "summary": advisory.summary,
        "link": advisory.link,
        "fixed-in": list(advisory.fixed_in),
        "remedy": {"version": mend.version, "needs": str(mend.needs) if mend.needs else None} if mend else None,
    }
