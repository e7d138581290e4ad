"""A lock, its curve of caps, what is held back and what was found → one HTML page that needs nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import NamedTuple

from minglibc.audit.rules import Finding
from minglibc.insight.caps import Step, moving
from minglibc.insight.outdated import Row, Weakness, age, condensed
from minglibc.model.targets import NEWEST_GLIBC, Cap, GlibcVersion, Target

# What a glibc means to people: the Red Hat releases that manylinux grew up with.
SYSTEMS = {5: "RHEL 5", 12: "RHEL 6", 17: "RHEL 7", 28: "RHEL 8", 34: "RHEL 9", 39: "RHEL 10"}


class LockedWheel(NamedTuple):
    """A wheel of the lock."""

    name: str
    version: str
    filename: str
    size: int | None
    needs: Cap | None


class Facts(NamedTuple):
    """Everything that the page tells."""

    project: str
    made: datetime
    minglibc: str
    targets: Sequence[Target]
    steps: Sequence[Step]
    newest: Mapping[str, str]
    rows: Sequence[Row]
    findings: Sequence[Finding] | None
    """None where the wheels were not looked into."""
    wheels: Sequence[LockedWheel]

    @property
    def caps(self) -> list[GlibcVersion]:
        """The project's own glibc caps."""
        return sorted({target.cap for target in self.targets if isinstance(target.cap, GlibcVersion)})

    @property
    def libcs(self) -> str:
        """All of the project's caps, as a heading says them."""
        musls = sorted({target.cap.named for target in self.targets if not isinstance(target.cap, GlibcVersion)})
        glibcs = ", ".join(map(str, self.caps))
        return " and ".join([*([f"glibc {glibcs}"] if glibcs else []), *musls])


def page(template: str, facts: Facts) -> str:
    """The page: *template* with its marks replaced; what an index or a file said is escaped."""
    sections = [
        _tiles(facts),
        _section("curve", "What each cap would lock", plot(facts.steps, facts.newest, facts.caps), _curve_note(facts)),
        _section("matrix", "Packages by cap", _matrix(facts)),
        _section("outdated", "Newer releases and what keeps them out", _outdated(facts)),
        _section("vulnerabilities", "Known vulnerabilities", _vulnerabilities(facts)),
        _section("findings", "Files that need more than the cap", _findings(facts)),
        _section("targets", "Targets", _targets(facts)),
        _section("wheels", "Locked wheels", _wheels(facts)),
    ]
    title = f"{facts.project or 'This project'} on {facts.libcs}"
    made = f"Made on {facts.made:%Y-%m-%d} by minglibc {facts.minglibc} from pylock.toml"
    marks = {"title": escape(title), "made": escape(made), "sections": "\n".join(sections)}
    for mark, text in marks.items():
        template = template.replace(f"<!--{mark}-->", text)
    return template


def _section(identifier: str, title: str, *content: str) -> str:
    return f'<section id="{identifier}">\n<h2>{escape(title)}</h2>\n{"".join(content)}\n</section>'


# Tiles.


def _tiles(facts: Facts) -> str:
    names = {row.name for row in facts.rows}
    held = {row.name for row in facts.rows if row.held_back}
    weak = {row.name for row in facts.rows if row.weaknesses}
    unknown = {row.name for row in facts.rows if row.weaknesses is None}
    ages = [days for row in facts.rows if (days := age(row.locked_on, facts.made)) is not None]
    vulnerable = "unknown" if unknown and not weak else str(len(weak))
    tiles = [
        (str(len(names)), "packages locked"),
        (str(len(held)), "held back by the cap"),
        (vulnerable, f"known to be vulnerable{f'; {len(unknown)} unknown' if unknown and weak else ''}"),
        ("not checked" if facts.findings is None else str(len(facts.findings)), "findings in the wheels' files"),
        (_years(max(ages)) if ages else "?", "the oldest release's age"),
    ]
    items = "".join(f"<li><strong>{escape(value)}</strong> {escape(label)}</li>" for value, label in tiles)
    return f'<ul class="tiles">{items}</ul>'


def _years(days: int) -> str:
    return f"{days} days" if days < 60 else f"{days / 365.25:.1f} years"


# The plot.

_WIDTH, _LEFT, _RIGHT, _TOP, _HEIGHT, _BELOW = 960, 56, 12, 34, 190, 44
_ROOM = 28


def plot(steps: Sequence[Step], newest: Mapping[str, str], caps: Sequence[GlibcVersion]) -> str:
    """The curve as SVG: for each cap, how many packages are locked at their newest release."""
    if not steps:
        return "<p>No cap was measured.</p>"
    count = max((len(step.versions) for step in steps), default=0) or 1
    across = _Axis(steps[0].lowest.minor, NEWEST_GLIBC.minor + 1, _LEFT, _WIDTH - _RIGHT)
    up = _Axis(0, count, _TOP + _HEIGHT, _TOP)
    parts = [*_grid(count, up), *_ticks(steps, across)]
    parts.extend(_column(step, newest, across, up) for step in steps)
    parts.extend(_own_cap(cap, across) for cap in caps)
    height = _TOP + _HEIGHT + _BELOW
    described = "; ".join(f"glibc {step}: {_spoken_step(step, newest)}" for step in steps)
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="curve-title">\n'
        f'<title id="curve-title">Packages at their newest release, by cap. {escape(described)}</title>\n'
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
    yield f'<text class="tick" x="{_LEFT - 8}" y="{_TOP - 18}" text-anchor="start">packages at their newest release</text>'


def _ticks(steps: Sequence[Step], across: _Axis) -> Iterator[str]:
    base = _TOP + _HEIGHT
    minors = {step.lowest.minor for step in steps} | {minor for minor in SYSTEMS if minor >= across.first}
    last = -100.0
    for minor in sorted(minors):
        x = across(minor)
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{base}" y2="{base + 5}"/>'
        # Numbers closer than this run into each other; the columns tell their own spans when pointed at.
        if x - last >= _ROOM:
            yield f'<text class="tick" x="{x}" y="{base + 18}">2.{minor}</text>'
            last = x
        if minor in SYSTEMS:
            yield f'<text class="system" x="{x}" y="{base + 34}">{SYSTEMS[minor]}</text>'


def _column(step: Step, newest: Mapping[str, str], across: _Axis, up: _Axis) -> str:
    left, right = across(step.lowest.minor), across(step.highest.minor + 1)
    told = escape(f"glibc {step}: {_spoken_step(step, newest)}")
    if not step.versions:
        return (
            f'<g><title>{told}</title><rect class="nothing" x="{left}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{_HEIGHT}"/></g>'
        )
    value = _at_newest(step, newest)
    y = up(value)
    # A narrow column's number would run into its neighbour's; pointing at it tells the same.
    label = f'<text class="value" x="{left + 6}" y="{y - 6}">{value}</text>' if right - left >= _ROOM else ""
    return (
        f'<g><title>{told}</title><rect class="bar" x="{left}" y="{y}" width="{max(1.0, right - left - 2):.1f}" '
        f'height="{up(0) - y:.1f}"/><line class="edge" x1="{left}" x2="{right - 2:.1f}" y1="{y}" y2="{y}"/>{label}</g>'
    )


def _own_cap(cap: GlibcVersion, across: _Axis) -> str:
    x = across(cap.minor)
    anchor = "end" if x > _WIDTH * 0.8 else "start"
    aside = -6 if anchor == "end" else 6
    return (
        f'<line class="own" x1="{x}" x2="{x}" y1="{_TOP - 12}" y2="{_TOP + _HEIGHT}"/>'
        f'<text class="own" x="{x + aside}" y="{_TOP - 4}" text-anchor="{anchor}">cap {cap}</text>'
    )


def _at_newest(step: Step, newest: Mapping[str, str]) -> int:
    return sum(versions[-1] == newest.get(name) for name, versions in step.versions.items())


def _spoken_step(step: Step, newest: Mapping[str, str]) -> str:
    if not step.versions:
        return f"nothing can be locked ({step.problem})"
    told = f"{_at_newest(step, newest)} of {len(step.versions)} packages at their newest release"
    return f"{told}, {_count(step)} known vulnerabilities" if step.vulnerable is not None else told


def _count(step: Step) -> str:
    return "unknown" if step.vulnerable is None else str(step.vulnerable)


def _curve_note(facts: Facts) -> str:
    nothing = [step for step in facts.steps if not step.versions]
    notes = [f"Hatched: nothing can be locked under glibc {step}, for want of {step.problem}." for step in nothing]
    if all(step.vulnerable is None for step in facts.steps):
        notes.append("The index does not say which releases are known to be vulnerable.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


# Tables.


class _Cell(NamedTuple):
    """A cell: its HTML, what it sorts by, and its class."""

    html: str
    sort: str | float = ""
    kind: str = ""


def _cell(text: str, sort: str | float = "", kind: str = "") -> _Cell:
    return _Cell(escape(text), sort, kind)


def _table(name: str, heads: Iterable[str], rows: Sequence[Sequence[_Cell]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "\n".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table data-name="{escape(name)}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _td(cell: _Cell) -> str:
    kind = f' class="{cell.kind}"' if cell.kind else ""
    sort = f' data-sort="{escape(str(cell.sort))}"' if cell.sort != "" else ""
    return f"<td{kind}{sort}>{cell.html}</td>"


def _or_nothing(rows: Sequence[object], table: Callable[[], str], nothing: str) -> str:
    return table() if rows else f"<p>{escape(nothing)}</p>"


def _matrix(facts: Facts) -> str:
    moved, still = moving(facts.steps)
    heads = ["Package", *(f"{step}" for step in facts.steps)]
    rows = [[_cell(name), *(_release(step, name, facts.newest) for step in facts.steps)] for name in moved]
    note = f"Locked alike under every cap: {', '.join(still)}." if still else ""
    legend = '<p class="note"><span class="key newest">newest</span> <span class="key older">older</span></p>'
    table = _or_nothing(rows, lambda: legend + _table("matrix", heads, rows), "No cap changes any release.")
    return f'{table}<p class="note">{escape(note)}</p>'


def _release(step: Step, name: str, newest: Mapping[str, str]) -> _Cell:
    versions = step.versions.get(name)
    if versions is None:
        return _cell("-", kind="absent")
    return _cell(", ".join(versions), kind="newest" if versions[-1] == newest.get(name) else "older")


def _outdated(facts: Facts) -> str:
    behind = [row for row in condensed(facts.rows) if row.is_behind]
    heads = ["Package", "Locked", "Age", "Newest", "Cap for the newest", "Why not"]
    if len(facts.targets) > 1:
        heads.append("On")
    rows = []
    for row in behind:
        days = age(row.locked_on, facts.made)
        needs = row.obstacle.needs if row.obstacle else None
        why_not = row.obstacle.text if row.obstacle else ""
        if row.held_back and row.held_back.version != row.newest:
            why_not += f"; {row.held_back.version} needs {row.held_back.needs.named}"
        cells = [
            _cell(row.name),
            _cell(row.locked),
            _cell("?" if days is None else _years(days), -1 if days is None else days, "number"),
            _cell(row.newest),
            _cell(_short(needs) if needs else "-", needs.minor if needs else 999, "number"),
            _cell(why_not),
        ]
        rows.append([*cells, _cell(_pythons(row.targets, facts.targets))] if len(facts.targets) > 1 else cells)
    return _or_nothing(rows, lambda: _table("outdated", heads, rows), "Every release is the newest.")


def _short(cap: Cap) -> str:
    """A column about glibc says of what else it is."""
    return str(cap) if isinstance(cap, GlibcVersion) else cap.named


def _pythons(targets: Sequence[Target], everything: Sequence[Target]) -> str:
    if set(targets) == set(everything):
        return "all targets"
    one_architecture = len({target.architecture for target in everything}) == 1
    one_libc = len({target.cap.libc for target in everything}) == 1

    def spoken(target: Target) -> str:
        where = [] if one_architecture else [target.architecture]
        return " ".join([str(target.python), *where, *([] if one_libc else [target.cap.libc])])

    return ", ".join(map(spoken, targets))


def _vulnerabilities(facts: Facts) -> str:
    weak = {(row.name, row.locked, each): None for row in facts.rows for each in row.weaknesses or ()}
    rows = [
        [
            _cell(name),
            _cell(version),
            _Cell(_linked(weakness)),
            _cell(weakness.advisory.summary),
            _cell(_mend(weakness)),
        ]
        for name, version, weakness in weak
    ]
    heads = ["Package", "Locked", "Vulnerability", "What it is", "Mended"]
    unknown = sorted({row.name for row in facts.rows if row.weaknesses is None})
    nothing = "The index knows of none." if not unknown else "The index names none."
    table = _or_nothing(rows, lambda: _table("vulnerabilities", heads, rows), nothing)
    if not unknown:
        return table
    who = "any release" if len(unknown) == len({row.name for row in facts.rows}) else ", ".join(unknown)
    return f'{table}<p class="note">Unknown: the index does not say whether {escape(who)} is vulnerable.</p>'


def _linked(weakness: Weakness) -> str:
    names, link = escape(weakness.advisory.names), weakness.advisory.link
    # An index may say anything; only web addresses become links.
    if not link.startswith(("https://", "http://")):
        return names
    return f'<a href="{escape(link)}" rel="noreferrer noopener">{names}</a>'


def _mend(weakness: Weakness) -> str:
    mend = weakness.remedy
    if mend is None:
        fixed = ", ".join(weakness.advisory.fixed_in)
        return f"in {fixed}, which no cap brings within reach" if fixed else "nowhere yet"
    return f"in {mend.version}, {f'with {mend.needs.named}' if mend.needs else 'within the cap'}"


def _findings(facts: Facts) -> str:
    if facts.findings is None:
        return "<p>The wheels were not looked into.</p>"
    rows = [
        [
            _cell(finding.distribution),
            _cell(finding.path),
            _cell(finding.version or finding.library or finding.detail),
            _cell(", ".join(finding.symbols)),
            _cell(str(finding.lowest_cap) if finding.lowest_cap else "-"),
        ]
        for finding in facts.findings
    ]
    heads = ["Distribution", "File", "Needs", "For", "Cap"]
    return _or_nothing(rows, lambda: _table("findings", heads, rows), "None: every file keeps within the cap.")


def _targets(facts: Facts) -> str:
    rows = [[_cell(f"CPython {t.python}"), _cell(t.architecture), _cell(t.cap.named)] for t in facts.targets]
    return _table("targets", ["Interpreter", "Architecture", "Cap"], rows)


def _wheels(facts: Facts) -> str:
    rows = [
        [
            _cell(wheel.name),
            _cell(wheel.version),
            _cell(wheel.filename),
            _cell(_short(wheel.needs) if wheel.needs else "any", wheel.needs.minor if wheel.needs else 0, "number"),
            _cell(_bytes(wheel.size), -1 if wheel.size is None else wheel.size, "number"),
        ]
        for wheel in facts.wheels
    ]
    total = sum(wheel.size or 0 for wheel in facts.wheels)
    table = _table("wheels", ["Package", "Version", "File", "glibc", "Size"], rows)
    return f'{table}<p class="note">{len(rows)} wheels, {_bytes(total)}.</p>'


def _bytes(size: int | None) -> str:
    if size is None:
        return "?"
    for unit, worth in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= worth:
            return f"{size / worth:.1f} {unit}"
    return f"{size} B"
