"""`minglibc report`: one self-contained HTML page."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from minglibc.audit.rules import Finding, Kind
from minglibc.insight.caps import CapRange
from minglibc.insight.outdated import Vulnerability
from minglibc.insight.report import LockedWheel, plot, render
from minglibc.insight.vulnerabilities import Advisory, Remedy
from minglibc.insight.why import Obstacle
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion
from tests.support.explained import Project, compiled, manylinux
from tests.support.index import IndexServer
from tests.support.reports import REPORT, STATUS, TEMPLATE
from tests.support.wheels import build_wheel

EVIL = '<script>alert("x")</script>&"'


class Text(HTMLParser):
    """A page's visible text, and its tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.shown += data


def test_all_sections() -> None:
    """The page has the plot, the matrix, what is held back, the findings, the targets and the wheels."""
    text = Text(render(TEMPLATE, REPORT))
    for words in (
        "controller on glibc 2.17",
        "Created on 2026-03-01 by minglibc 1.2.3",
        "needs glibc 2.28",
        "2.2 years",
        "GLIBC_2.34",
        "CPython 3.11",
        "1.5 MB",
        "Hatched: no solution under glibc 2.5 to 2.16 (conflicting packages: a).",
        "The same under every cap: b.",
    ):
        assert words in text.shown
    identifiers = [attributes.get("id") for tag, attributes in text.tags if tag == "section"]
    assert ["curve", "matrix", "outdated", "vulnerabilities", "findings", "targets", "wheels"] == identifiers
    assert "<!--" not in render(TEMPLATE, REPORT).replace("<!doctype", "")


def test_untrusted_text_is_escaped() -> None:
    """Text from indexes and files is shown and never executed; only web addresses become links."""
    weak = Vulnerability(Advisory("X-1", (), (), EVIL, "javascript:alert(1)"), None)
    web = Vulnerability(Advisory(EVIL, (), (), "", 'https://example.invalid/"onclick="x'), Remedy(EVIL, None))
    row = STATUS._replace(
        name=EVIL, locked=EVIL, newest=EVIL, obstacle=Obstacle("x", EVIL), held_back=None, vulnerabilities=(weak, web)
    )
    finding = Finding(EVIL, EVIL, Kind.UNREADABLE, detail=EVIL)
    steps = (
        CapRange(GlibcVersion(2, 5), NEWEST_GLIBC, {EVIL: (EVIL,)}),
        CapRange(GlibcVersion(2, 5), NEWEST_GLIBC, {}, EVIL),
    )
    wheel = LockedWheel(EVIL, EVIL, EVIL, None, None)
    facts = REPORT._replace(project=EVIL, statuses=(row,), findings=(finding,), ranges=steps, wheels=(wheel,))
    text = Text(render(TEMPLATE, facts))
    assert 1 == sum(tag == "script" for tag, _ in text.tags)
    assert ['https://example.invalid/"onclick="x'] == [
        a["href"] for tag, a in text.tags if tag == "a" and not (a["href"] or "").startswith("#")
    ]
    assert not any(name.startswith("on") for _, attributes in text.tags for name in attributes)
    assert text.shown.count(EVIL) > 10


def test_the_page_is_self_contained() -> None:
    """The page refers to no external file, font, image, style or script, and its policy forbids them."""
    html = render(TEMPLATE, REPORT)
    assert not re.search(r"""\bsrc\s*=|@import|url\((?!#)|<link|<iframe|<object|<embed|fetch\(|XMLHttp""", html)
    assert "default-src 'none'" in html


def test_plot_has_a_column_for_each_range() -> None:
    """The plot is one SVG whose columns describe their ranges in text, with the project's own cap marked."""
    svg = plot(REPORT.ranges, REPORT.newest, [GlibcVersion(2, 17)])
    assert 1 == svg.count("<svg")
    assert 2 == svg.count('class="bar"')
    assert 1 == svg.count('class="nothing"')
    assert "glibc 2.17 to 2.27: 1 of 2 packages at their newest release" in svg
    assert "cap 2.17" in svg
    assert "There is no glibc cap to compare" in plot((), {}, [])


def test_missing_vulnerability_data() -> None:
    """Missing vulnerability data is never shown as "no vulnerabilities"."""
    facts = REPORT._replace(statuses=(STATUS._replace(vulnerabilities=None),), findings=None)
    text = Text(render(TEMPLATE, facts)).shown
    assert 1 == text.count("there is no vulnerability data")
    assert "No known vulnerabilities" not in text
    assert "The wheels were not checked." in text
    assert "No known vulnerabilities." in Text(render(TEMPLATE, REPORT)).shown


def test_vulnerability_with_its_fix() -> None:
    """A vulnerability is listed with its summary, the release that fixes it and the cap which that needs."""
    weak = Vulnerability(
        Advisory("GHSA-1", ("CVE-2026-1",), ("2.0",), "Executes arbitrary code.", "https://example.invalid/1"),
        Remedy("2.0", GlibcVersion(2, 28)),
    )
    text = Text(render(TEMPLATE, REPORT._replace(statuses=(STATUS._replace(vulnerabilities=(weak,)),)))).shown
    assert "CVE-2026-1, GHSA-1" in text
    assert "Executes arbitrary code." in text
    assert "in 2.0, needs glibc 2.28" in text


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project with a wheel that exceeds the cap, and a newer release that the cap holds back."""
    index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.34"))
    index.add(build_wheel("a", "2.0", manylinux(28)))
    return Project(tmp_path, index).write("a").lock()


def test_command_writes_the_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`report` writes one file, or prints it with `-o -`; a path that cannot be written is an error."""
    monkeypatch.chdir(project.folder)
    ran = project.run("report")
    assert (0, "") == (ran.code, ran.out)
    assert re.fullmatch(r"Wrote minglibc-report\.html, \d+ kB\n", ran.err)
    html = (project.folder / "minglibc-report.html").read_text(encoding="utf-8")
    assert "GLIBC_2.34" in html
    assert html == project.run("report", "-o", "-", "-q").out
    refused = project.run("report", "-o", "nowhere/x.html")
    assert (1, True) == (refused.code, "can't write nowhere/x.html" in refused.err)


def test_json(project: Project) -> None:
    """The JSON has the content of the page; --no-files does not read the wheels."""
    report = project.json("report")
    assert ["2.5", "2.17", "2.28"] == [step["lowest"] for step in report["caps"]["steps"]]
    assert ["GLIBC_2.34"] == [finding["version"] for finding in report["findings"]]
    assert ["2.0"] == [row["newest"] for row in report["outdated"]]
    assert ["2.17"] == [wheel["needs"] for wheel in report["wheels"]]
    assert project.json("report", "--no-files")["findings"] is None


def test_without_a_lock_there_is_no_report(project: Project) -> None:
    """Without a lock there is no report."""
    (project.folder / "pylock.toml").unlink()
    ran = project.run("report", "-o", "-")
    assert (1, "") == (ran.code, ran.out)


def test_matrix() -> None:
    """The column of the project's cap is marked; "no solution" and "not needed" differ; older releases have a class."""
    steps = (
        CapRange(GlibcVersion(2, 5), GlibcVersion(2, 16), {}, "a"),
        CapRange(GlibcVersion(2, 17), GlibcVersion(2, 27), {"a": ("1.0",)}),
        CapRange(GlibcVersion(2, 28), NEWEST_GLIBC, {"a": ("2.0",), "b": ("1.0",)}),
    )
    page = render(TEMPLATE, REPORT._replace(ranges=steps, newest={"a": "2.0", "b": "1.0"}))
    matrix = page.partition('<section id="matrix">')[2].partition("</section>")[0]
    assert '<th scope="col" class="own">2.17 to 2.27 (your cap)</th>' in matrix
    assert 1 == matrix.count('"own"')
    assert (
        '<td>a</td><td class="absent">no solution</td><td class="older own">1.0</td><td class="newest">2.0</td>'
        in matrix
    )
    assert '<td class="absent own">not needed</td><td class="newest">1.0</td>' in matrix


def test_table_of_contents() -> None:
    """Each section has a link."""
    page = render(TEMPLATE, REPORT)
    links = re.findall(r'<li><a href="#([a-z]+)">', page)
    assert links == re.findall(r'<section id="([a-z]+)">', page)
