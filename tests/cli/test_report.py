"""`minglibc report`: one page that tells all of it, and asks nobody for anything."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from minglibc.audit.rules import Finding, Kind
from minglibc.insight.caps import Step
from minglibc.insight.outdated import Row, Weakness, Within
from minglibc.insight.report import Facts, LockedWheel, page, plot
from minglibc.insight.vulnerabilities import Advisory, Remedy
from minglibc.insight.why import Obstacle
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, PythonVersion, Target
from tests.support.explained import Project, compiled, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

TEMPLATE = (files("minglibc.insight") / "report.html").read_text("utf-8")
EVIL = '<script>alert("x")</script>&"'
TARGETS = tuple(Target(PythonVersion(minor), "x86_64", GlibcVersion(2, 17)) for minor in (9, 11))
ROW = Row(
    "a",
    "1.0",
    "2.0",
    Obstacle("glibc", "needs glibc 2.28", GlibcVersion(2, 28)),
    Within("2.0", GlibcVersion(2, 28)),
    TARGETS,
    "2024-01-01",
    "2026-01-01",
    (),
)
FACTS = Facts(
    project="controller",
    made=datetime(2026, 3, 1, tzinfo=UTC),
    minglibc="1.2.3",
    targets=TARGETS,
    steps=(
        Step(GlibcVersion(2, 5), GlibcVersion(2, 16), {}, "a"),
        Step(GlibcVersion(2, 17), GlibcVersion(2, 27), {"a": ("1.0",), "b": ("1.0",)}),
        Step(GlibcVersion(2, 28), NEWEST_GLIBC, {"a": ("2.0",), "b": ("1.0",)}),
    ),
    newest={"a": "2.0", "b": "1.0"},
    rows=(ROW, ROW._replace(name="b", newest="1.0", obstacle=None, held_back=None)),
    findings=(Finding("a 1.0", "a/a.so", Kind.GLIBC, "libc.so.6", "GLIBC_2.34", ("dlopen",), GlibcVersion(2, 34)),),
    wheels=(LockedWheel("a", "1.0", "a-1.0-py3-none-any.whl", 1_500_000, None),),
)


class Text(HTMLParser):
    """What a page shows, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.shown += data


def test_everything_is_told() -> None:
    """The page tells the curve, the matrix, what is held back, the findings, the targets and the wheels."""
    text = Text(page(TEMPLATE, FACTS))
    for words in (
        "controller on glibc 2.17",
        "Made on 2026-03-01 by minglibc 1.2.3",
        "needs glibc 2.28",
        "2.2 years",
        "GLIBC_2.34",
        "CPython 3.11",
        "1.5 MB",
        "Hatched: nothing can be locked under glibc 2.5 to 2.16, for want of a.",
        "Locked alike under every cap: b.",
    ):
        assert words in text.shown
    identifiers = [attributes.get("id") for tag, attributes in text.tags if tag == "section"]
    assert ["curve", "matrix", "outdated", "vulnerabilities", "findings", "targets", "wheels"] == identifiers
    assert "<!--" not in page(TEMPLATE, FACTS).replace("<!doctype", "")


def test_what_strangers_say_is_text() -> None:
    """Whatever an index or a file says is shown and never run; only web addresses become links."""
    weak = Weakness(Advisory("X-1", (), (), EVIL, "javascript:alert(1)"), None)
    web = Weakness(Advisory(EVIL, (), (), "", 'https://example.invalid/"onclick="x'), Remedy(EVIL, None))
    row = ROW._replace(
        name=EVIL, locked=EVIL, newest=EVIL, obstacle=Obstacle("x", EVIL), held_back=None, weaknesses=(weak, web)
    )
    finding = Finding(EVIL, EVIL, Kind.UNREADABLE, detail=EVIL)
    steps = (Step(GlibcVersion(2, 5), NEWEST_GLIBC, {EVIL: (EVIL,)}), Step(GlibcVersion(2, 5), NEWEST_GLIBC, {}, EVIL))
    wheel = LockedWheel(EVIL, EVIL, EVIL, None, None)
    facts = FACTS._replace(project=EVIL, rows=(row,), findings=(finding,), steps=steps, wheels=(wheel,))
    text = Text(page(TEMPLATE, facts))
    assert 1 == sum(tag == "script" for tag, _ in text.tags)
    assert ['https://example.invalid/"onclick="x'] == [a["href"] for tag, a in text.tags if tag == "a"]
    assert not any(name.startswith("on") for _, attributes in text.tags for name in attributes)
    assert text.shown.count(EVIL) > 10


def test_nothing_is_fetched() -> None:
    """The page names no file, font, image, style or script outside of itself, and its policy forbids them."""
    html = page(TEMPLATE, FACTS)
    assert not re.search(r"""\bsrc\s*=|@import|url\((?!#)|<link|<iframe|<object|<embed|fetch\(|XMLHttp""", html)
    assert "default-src 'none'" in html


def test_plot_has_a_column_for_each_step() -> None:
    """The plot is one SVG whose columns tell their spans in words, with the project's own cap marked."""
    svg = plot(FACTS.steps, FACTS.newest, [GlibcVersion(2, 17)])
    assert 1 == svg.count("<svg")
    assert 2 == svg.count('class="bar"')
    assert 1 == svg.count('class="nothing"')
    assert "glibc 2.17 to 2.27: 1 of 2 packages at their newest release" in svg
    assert "cap 2.17" in svg
    assert "No cap was measured" in plot((), {}, [])


def test_unknown_is_said() -> None:
    """Unknown vulnerabilities are never shown as none."""
    facts = FACTS._replace(rows=(ROW._replace(weaknesses=None),), findings=None)
    text = Text(page(TEMPLATE, facts)).shown
    assert "Unknown: the index does not say whether any release is vulnerable." in text
    assert "The index does not say which releases are known to be vulnerable." in text
    assert "The wheels were not looked into." in text
    assert "The index knows of none." in Text(page(TEMPLATE, FACTS)).shown


def test_vulnerability_with_its_mend() -> None:
    """A vulnerability is told with what it is, and where and under which cap it is mended."""
    weak = Weakness(
        Advisory("GHSA-1", ("CVE-2026-1",), ("2.0",), "Runs anybody's code.", "https://example.invalid/1"),
        Remedy("2.0", GlibcVersion(2, 28)),
    )
    text = Text(page(TEMPLATE, FACTS._replace(rows=(ROW._replace(weaknesses=(weak,)),)))).shown
    assert "CVE-2026-1, GHSA-1" in text
    assert "Runs anybody's code." in text
    assert "in 2.0, with glibc 2.28" in text


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project with a liar that the cap holds back."""
    index.add(compiled("a", "1.0", manylinux(17), "GLIBC_2.34"))
    index.add(build_wheel("a", "2.0", manylinux(28)))
    return Project(tmp_path, index).write("a").lock()


def test_command_writes_the_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`report` writes one file where it is told, or prints it; what can't be written is an error."""
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
    """The JSON tells what the page does; --no-files leaves the wheels unread."""
    found = project.json("report")
    assert ["2.5", "2.17", "2.28"] == [step["lowest"] for step in found["caps"]["steps"]]
    assert ["GLIBC_2.34"] == [finding["version"] for finding in found["findings"]]
    assert ["2.0"] == [row["newest"] for row in found["outdated"]]
    assert ["2.17"] == [wheel["needs"] for wheel in found["wheels"]]
    assert project.json("report", "--no-files")["findings"] is None


def test_no_lock_no_page(project: Project) -> None:
    """Without a lock there is no report."""
    (project.folder / "pylock.toml").unlink()
    ran = project.run("report", "-o", "-")
    assert (1, "") == (ran.code, ran.out)
