"""Renders a lock, the comparison of caps, newer releases and findings as one self-contained HTML page."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import NamedTuple

from minglibc.audit.rules import Finding
from minglibc.insight.caps import CapRange, changed_and_unchanged
from minglibc.insight.outdated import ReleaseStatus, Vulnerability, age, condensed
from minglibc.model.targets import NEWEST_GLIBC, Cap, GlibcVersion, Target

# Red Hat Enterprise Linux releases by the minor version of their glibc.
SYSTEMS = {5: "RHEL 5", 12: "RHEL 6", 17: "RHEL 7", 28: "RHEL 8", 34: "RHEL 9", 39: "RHEL 10"}


class LockedWheel(NamedTuple):
    """A wheel of the lock."""

    name: str
    version: str
    filename: str
    size: int | None
    needs: Cap | None
    grafted: tuple[str, ...] = ()
    """The libraries of the build machine in it."""


class ReportData(NamedTuple):
    """The content of the page."""

    project: str
    created: datetime
    minglibc: str
    targets: Sequence[Target]
    ranges: Sequence[CapRange]
    newest: Mapping[str, str]
    statuses: Sequence[ReleaseStatus]
    findings: Sequence[Finding] | None
    """None if the wheels were not checked."""
    wheels: Sequence[LockedWheel]
    attribution: str = ""
    """The source of vulnerability data that has to be named."""

    @property
    def caps(self) -> list[GlibcVersion]:
        """The project's own glibc caps."""
        return sorted({target.cap for target in self.targets if isinstance(target.cap, GlibcVersion)})

    @property
    def libcs(self) -> str:
        """All of the project's caps, for a heading."""
        musls = sorted({target.cap.named for target in self.targets if not isinstance(target.cap, GlibcVersion)})
        glibcs = ", ".join(map(str, self.caps))
        return " and ".join([*([f"glibc {glibcs}"] if glibcs else []), *musls])


def render(template: str, data: ReportData) -> str:
    """The page: *template* with its placeholders replaced; text from indexes and files is escaped."""
    chart = f'<div class="scroll">{plot(data.ranges, data.newest, data.caps)}</div>'
    contents = [
        ("curve", "Resolutions by cap", f"{chart}{_plot_notes(data)}"),
        ("matrix", "Packages by cap", _matrix(data)),
        ("outdated", "Newer releases and what blocks them", _outdated(data)),
        ("vulnerabilities", "Known vulnerabilities", _vulnerabilities(data)),
        ("findings", "Files that exceed the cap", _findings(data)),
        ("targets", "Targets", _targets(data)),
        ("wheels", "Locked wheels", _wheels(data)),
    ]
    links = "".join(f'<li><a href="#{identifier}">{escape(title)}</a></li>' for identifier, title, _ in contents)
    sections = [_tiles(data), f'<nav aria-label="Contents"><ul>{links}</ul></nav>']
    sections += [_section(*content) for content in contents]
    title = f"{data.project or 'This project'} on {data.libcs}"
    created = f"Created on {data.created:%Y-%m-%d} by minglibc {data.minglibc} from pylock.toml"
    placeholders = {"title": escape(title), "created": escape(created), "sections": "\n".join(sections)}
    for placeholder, text in placeholders.items():
        template = template.replace(f"<!--{placeholder}-->", text)
    return template


def _section(identifier: str, title: str, *content: str) -> str:
    return f'<section id="{identifier}">\n<h2>{escape(title)}</h2>\n{"".join(content)}\n</section>'


# Tiles.


def _tiles(data: ReportData) -> str:
    names = {status.name for status in data.statuses}
    held = {status.name for status in data.statuses if status.held_back}
    vulnerable = {status.name for status in data.statuses if status.vulnerabilities}
    unknown = {status.name for status in data.statuses if status.vulnerabilities is None}
    ages = [days for status in data.statuses if (days := age(status.locked_on, data.created)) is not None]
    without_data = f"; no data for {len(unknown)}" if unknown and vulnerable else ""
    tiles = [
        (str(len(names)), "packages locked"),
        (str(len(held)), "held back by the cap"),
        ("unknown" if unknown and not vulnerable else str(len(vulnerable)), f"known to be vulnerable{without_data}"),
        ("not checked" if data.findings is None else str(len(data.findings)), "findings in the wheels' files"),
        (_years(max(ages)) if ages else "?", "age of the oldest release"),
    ]
    items = "".join(f"<li><strong>{escape(value)}</strong> {escape(label)}</li>" for value, label in tiles)
    return f'<ul class="tiles">{items}</ul>'


def _years(days: int) -> str:
    return f"{days} days" if days < 60 else f"{days / 365.25:.1f} years"


# The plot.

_WIDTH, _LEFT, _RIGHT, _TOP, _HEIGHT, _BELOW = 960, 56, 12, 50, 190, 44
_LABEL_WIDTH = 28


def plot(ranges: Sequence[CapRange], newest: Mapping[str, str], caps: Sequence[GlibcVersion]) -> str:
    """An SVG bar chart: for each cap, how many packages are locked at their newest release."""
    if not ranges:
        return "<p>There is no glibc cap to compare.</p>"
    count = max((len(cap_range.versions) for cap_range in ranges), default=0) or 1
    across = _Axis(ranges[0].lowest.minor, NEWEST_GLIBC.minor + 1, _LEFT, _WIDTH - _RIGHT)
    up = _Axis(0, count, _TOP + _HEIGHT, _TOP)
    parts = [*_grid(count, up), *_ticks(ranges, across)]
    parts.extend(_column(cap_range, newest, across, up) for cap_range in ranges)
    parts.extend(_own_cap(cap, across) for cap in caps)
    height = _TOP + _HEIGHT + _BELOW
    description = "; ".join(f"glibc {cap_range}: {_describe(cap_range, newest)}" for cap_range in ranges)
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="curve-title">\n'
        f'<title id="curve-title">Packages at their newest release, by cap. {escape(description)}</title>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


class _Axis(NamedTuple):
    """A linear scale."""

    first: float
    last: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.first) / (self.last - self.first)
        return round(self.start + share * (self.end - self.start), 1)


def _grid(count: int, up: _Axis) -> Iterator[str]:
    for value in sorted({0, count // 2, count}):
        y = up(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value}</text>'
    yield f'<text class="tick" x="{_LEFT - 8}" y="{_TOP - 34}" text-anchor="start">packages at their newest release</text>'


def _ticks(ranges: Sequence[CapRange], across: _Axis) -> Iterator[str]:
    base = _TOP + _HEIGHT
    minors = {cap_range.lowest.minor for cap_range in ranges} | {minor for minor in SYSTEMS if minor >= across.first}
    last = -100.0
    for minor in sorted(minors):
        x = across(minor)
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{base}" y2="{base + 5}"/>'
        # Closer labels would overlap; the columns show their range as a tooltip.
        if x - last >= _LABEL_WIDTH:
            yield f'<text class="tick" x="{x}" y="{base + 18}">2.{minor}</text>'
            last = x
        if minor in SYSTEMS:
            yield f'<text class="system" x="{x}" y="{base + 34}">{SYSTEMS[minor]}</text>'


def _column(cap_range: CapRange, newest: Mapping[str, str], across: _Axis, up: _Axis) -> str:
    left, right = across(cap_range.lowest.minor), across(cap_range.highest.minor + 1)
    tooltip = escape(f"glibc {cap_range}: {_describe(cap_range, newest)}")
    if not cap_range.versions:
        return (
            f'<g><title>{tooltip}</title><rect class="nothing" x="{left}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{_HEIGHT}"/></g>'
        )
    value = _at_newest(cap_range, newest)
    y = up(value)
    # A narrow column's label would overlap the next one; its tooltip has the number.
    label = f'<text class="value" x="{left + 6}" y="{y - 6}">{value}</text>' if right - left >= _LABEL_WIDTH else ""
    return (
        f'<g><title>{tooltip}</title><rect class="bar" x="{left}" y="{y}" width="{max(1.0, right - left - 2):.1f}" '
        f'height="{up(0) - y:.1f}"/><line class="edge" x1="{left}" x2="{right - 2:.1f}" y1="{y}" y2="{y}"/>{label}</g>'
    )


def _own_cap(cap: GlibcVersion, across: _Axis) -> str:
    x = across(cap.minor)
    anchor = "end" if x > _WIDTH * 0.8 else "start"
    aside = -6 if anchor == "end" else 6
    return (
        f'<line class="own" x1="{x}" x2="{x}" y1="{_TOP - 28}" y2="{_TOP + _HEIGHT}"/>'
        f'<text class="own" x="{x + aside}" y="{_TOP - 20}" text-anchor="{anchor}">cap {cap}</text>'
    )


def _at_newest(cap_range: CapRange, newest: Mapping[str, str]) -> int:
    return sum(versions[-1] == newest.get(name) for name, versions in cap_range.versions.items())


def _describe(cap_range: CapRange, newest: Mapping[str, str]) -> str:
    if not cap_range.versions:
        return f"no solution ({cap_range.problem})"
    text = f"{_at_newest(cap_range, newest)} of {len(cap_range.versions)} packages at their newest release"
    return f"{text}, {_count(cap_range)} known vulnerabilities" if cap_range.vulnerable is not None else text


def _count(cap_range: CapRange) -> str:
    return "unknown" if cap_range.vulnerable is None else str(cap_range.vulnerable)


def _plot_notes(data: ReportData) -> str:
    unsolved = [cap_range for cap_range in data.ranges if not cap_range.versions]
    notes = [
        f"Hatched: no solution under glibc {cap_range} (conflicting packages: {cap_range.problem})."
        for cap_range in unsolved
    ]
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


# Tables.


class _Cell(NamedTuple):
    """A cell: its HTML, what it sorts by, and its class."""

    html: str
    sort: str | float = ""
    kind: str = ""


def _cell(text: str, sort: str | float = "", kind: str = "") -> _Cell:
    return _Cell(escape(text), sort, kind)


def _table(name: str, heads: Iterable[str | _Cell], rows: Sequence[Sequence[_Cell]]) -> str:
    cells = [head if isinstance(head, _Cell) else _cell(head) for head in heads]
    head = "".join(f'<th scope="col"{_class(cell)}>{cell.html}</th>' for cell in cells)
    body = "\n".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table data-name="{escape(name)}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _class(cell: _Cell) -> str:
    return f' class="{cell.kind}"' if cell.kind else ""


def _td(cell: _Cell) -> str:
    sort = f' data-sort="{escape(str(cell.sort))}"' if cell.sort != "" else ""
    return f"<td{_class(cell)}{sort}>{cell.html}</td>"


def _table_or_text(rows: Sequence[object], table: Callable[[], str], text: str) -> str:
    return table() if rows else f"<p>{escape(text)}</p>"


def _matrix(data: ReportData) -> str:
    changed, unchanged = changed_and_unchanged(data.ranges)
    own = [
        cap_range for cap_range in data.ranges if any(cap_range.lowest <= cap <= cap_range.highest for cap in data.caps)
    ]
    heads: list[str | _Cell] = ["Package"]
    heads += [_cell(f"{step} (your cap)", kind="own") if step in own else str(step) for step in data.ranges]
    rows = [
        [_cell(name), *(_release(step, name, data.newest, step in own) for step in data.ranges)] for name in changed
    ]
    note = f"The same under every cap: {', '.join(unchanged)}." if unchanged else ""
    legend = '<p class="note"><span class="key newest">newest</span> <span class="key older">older</span></p>'
    table = _table_or_text(rows, lambda: legend + _table("matrix", heads, rows), "All caps give the same versions.")
    return f'{table}<p class="note">{escape(note)}</p>'


def _release(cap_range: CapRange, name: str, newest: Mapping[str, str], own: bool) -> _Cell:  # noqa: FBT001
    versions = cap_range.versions.get(name)
    if versions is None:
        text, kind = "not needed" if cap_range.versions else "no solution", "absent"
    else:
        text, kind = ", ".join(versions), "newest" if versions[-1] == newest.get(name) else "older"
    return _cell(text, kind=f"{kind} own" if own else kind)


def _outdated(data: ReportData) -> str:
    behind = [status for status in condensed(data.statuses) if status.is_behind]
    heads = ["Package", "Locked", "Age", "Newest", "Cap for the newest", "Blocked by"]
    if len(data.targets) > 1:
        heads.append("Targets")
    rows = []
    for status in behind:
        days = age(status.locked_on, data.created)
        needs = status.obstacle.needs if status.obstacle else None
        blocked_by = status.obstacle.text if status.obstacle else ""
        if status.held_back and status.held_back.version != status.newest:
            blocked_by += f"; {status.held_back.version} needs {status.held_back.needs.named}"
        cells = [
            _cell(status.name),
            _cell(status.locked),
            _cell("?" if days is None else _years(days), -1 if days is None else days, "number"),
            _cell(status.newest),
            _cell(_short(needs) if needs else "-", needs.minor if needs else 999, "number"),
            _cell(blocked_by),
        ]
        rows.append(
            [*cells, _cell(_describe_targets(status.targets, data.targets))] if len(data.targets) > 1 else cells
        )
    return _table_or_text(rows, lambda: _table("outdated", heads, rows), "Every package is at its newest release.")


def _short(cap: Cap) -> str:
    """A cap in a column of glibc versions; another C library is named."""
    return str(cap) if isinstance(cap, GlibcVersion) else cap.named


def _describe_targets(targets: Sequence[Target], all_targets: Sequence[Target]) -> str:
    if set(targets) == set(all_targets):
        return "all targets"
    one_architecture = len({target.architecture for target in all_targets}) == 1
    one_libc = len({target.cap.libc for target in all_targets}) == 1

    def describe(target: Target) -> str:
        where = [] if one_architecture else [target.architecture]
        return " ".join([str(target.python), *where, *([] if one_libc else [target.cap.libc])])

    return ", ".join(map(describe, targets))


def _vulnerabilities(data: ReportData) -> str:
    unique = {
        (status.name, status.locked, vulnerability): None
        for status in data.statuses
        for vulnerability in status.vulnerabilities or ()
    }
    rows = [
        [
            _cell(name),
            _cell(version),
            _Cell(_linked(vulnerability)),
            _cell(vulnerability.advisory.summary),
            _cell(_fix(vulnerability)),
        ]
        for name, version, vulnerability in unique
    ]
    heads = ["Package", "Locked", "Vulnerability", "Summary", "Fixed"]
    unknown = sorted({status.name for status in data.statuses if status.vulnerabilities is None})
    if len(unknown) == len({status.name for status in data.statuses}):
        return "<p>Unknown: there is no vulnerability data. <code>--osv</code> asks osv.dev.</p>"
    known = (
        "No known vulnerabilities in the packages that there is data for." if unknown else "No known vulnerabilities."
    )
    table = _table_or_text(rows, lambda: _table("vulnerabilities", heads, rows), known)
    notes = [f"There is no vulnerability data for {', '.join(unknown)}."] if unknown else []
    notes += [f"{data.attribution}."] if data.attribution else []
    return table + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _linked(vulnerability: Vulnerability) -> str:
    names, link = escape(vulnerability.advisory.names), vulnerability.advisory.link
    # The index is not trusted: only web addresses become links.
    if not link.startswith(("https://", "http://")):
        return names
    return f'<a href="{escape(link)}" rel="noreferrer noopener">{names}</a>'


def _fix(vulnerability: Vulnerability) -> str:
    remedy = vulnerability.remedy
    if remedy is None:
        fixed_in = ", ".join(vulnerability.advisory.fixed_in)
        return f"in {fixed_in}, which no cap allows" if fixed_in else "no fix known"
    return f"in {remedy.version}, {f'needs {remedy.needs.named}' if remedy.needs else 'allowed by the current cap'}"


def _findings(data: ReportData) -> str:
    if data.findings is None:
        return "<p>The wheels were not checked.</p>"
    rows = [
        [
            _cell(finding.distribution),
            _cell(finding.path, kind="file"),
            _cell(finding.version or finding.library or finding.detail),
            _cell(", ".join(finding.symbols)),
            _cell(str(finding.lowest_cap) if finding.lowest_cap else "-"),
        ]
        for finding in data.findings
    ]
    heads = ["Distribution", "File", "Needs", "Symbols", "Cap"]
    return _table_or_text(rows, lambda: _table("findings", heads, rows), "None: all files are compatible with the cap.")


def _targets(data: ReportData) -> str:
    rows = [[_cell(f"CPython {t.python}"), _cell(t.architecture), _cell(t.cap.named)] for t in data.targets]
    return _table("targets", ["Interpreter", "Architecture", "Cap"], rows)


def _wheels(data: ReportData) -> str:
    rows = [
        [
            _cell(wheel.name),
            _cell(wheel.version),
            _cell(_file_and_libraries(wheel), kind="file"),
            _cell(_short(wheel.needs) if wheel.needs else "any", wheel.needs.minor if wheel.needs else 0, "number"),
            _cell(_bytes(wheel.size), -1 if wheel.size is None else wheel.size, "number"),
        ]
        for wheel in data.wheels
    ]
    total = sum(wheel.size or 0 for wheel in data.wheels)
    table = _table("wheels", ["Package", "Version", "File", "glibc", "Size"], rows)
    return f'{table}<p class="note">{len(rows)} wheels, {_bytes(total)}.</p>'


def _file_and_libraries(wheel: LockedWheel) -> str:
    return f"{wheel.filename} (contains {', '.join(wheel.grafted)})" if wheel.grafted else wheel.filename


def _bytes(size: int | None) -> str:
    if size is None:
        return "?"
    for unit, worth in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= worth:
            return f"{size / worth:.1f} {unit}"
    return f"{size} B"
