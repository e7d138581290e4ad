"""The report in a real browser: it opens from a file, works by keyboard, prints, and makes no requests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minglibc.insight.caps import CapRange
from minglibc.insight.report import LockedWheel, render
from minglibc.model.targets import GlibcVersion
from tests.support.browser import Page, browser, chromium
from tests.support.reports import REPORT, TEMPLATE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]

SIZES = {"alpha": 900, "beta": 12_000_000, "gamma": 45_000, "delta": 3_000, "epsilon": 700_000, "zeta": 1_200_000}
WHEELS = [
    LockedWheel(name, f"1.{number}.0", f"{name}-1.{number}.0-py3-none-any.whl", size, GlibcVersion(2, 5 + number))
    for number, (name, size) in enumerate(SIZES.items(), 8)
]
CELLS = (
    "[...document.querySelectorAll('#wheels tbody tr')].filter(row => !row.hidden).map(row => row.cells[0].textContent)"
)
FOCUS = "document.activeElement.closest('section')?.id + ' ' + document.activeElement.textContent"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    """An open report."""
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(render(TEMPLATE, REPORT._replace(wheels=WHEELS)), "utf-8")
    with browser(folder / "profile") as opened:
        opened.show()
        opened.open(path)
        yield opened, path


def press_until(opened: Page, wanted: str) -> None:
    """Press Tab until *wanted* has the focus."""
    for _ in range(100):
        opened.press("Tab")
        if opened.evaluate(FOCUS) == wanted:
            return
    pytest.fail(f"Tab does not reach {wanted!r}")


def test_it_opens_and_fetches_nothing(report: tuple[Page, Path]) -> None:
    """The page opens from a file without errors and makes no other request."""
    opened, path = report
    assert "controller on glibc 2.17" == opened.evaluate("document.querySelector('h1').textContent")
    assert 7 == opened.evaluate("document.querySelectorAll('section').length")
    assert {path.as_uri()} == set(opened.requests)
    assert [] == opened.errors


def test_tables_sort_by_keyboard(report: tuple[Page, Path]) -> None:
    """Tab reaches a column's head, Enter sorts by it, Enter again reverses the order; numbers sort as numbers."""
    opened, path = report
    opened.open(path)
    press_until(opened, "wheels Size")
    opened.press("Enter")
    by_size = sorted(SIZES, key=SIZES.__getitem__)
    assert by_size == opened.evaluate(CELLS)
    assert "ascending" == opened.evaluate("document.activeElement.parentNode.getAttribute('aria-sort')")
    opened.press("Enter")
    assert by_size[::-1] == opened.evaluate(CELLS)
    opened.evaluate("document.querySelectorAll('#wheels th button')[1].focus()")
    opened.press("Enter")
    assert list(SIZES) == opened.evaluate(CELLS)
    assert 1 == opened.evaluate("document.querySelectorAll('#wheels [aria-sort]').length")


def test_tables_filter_by_keyboard(report: tuple[Page, Path]) -> None:
    """A slash moves to the filter, words filter the rows, which are counted, and Escape shows all rows again."""
    opened, path = report
    opened.open(path)
    opened.press("/")
    assert "INPUT" == opened.evaluate("document.activeElement.tagName")
    opened.type("eta 1.")
    assert ["beta", "zeta"] == opened.evaluate(CELLS)
    assert "2 of 6" == opened.evaluate("document.querySelector('#wheels output').textContent")
    opened.press("Escape")
    assert list(SIZES) == opened.evaluate(CELLS)


def contrast(opened: Page, selector: str) -> float:
    """The contrast of an element's text with the page behind it (WCAG 2.2)."""
    return float(
        opened.evaluate(
            """(selector => {
            const luminance = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(c => c / 255)
              .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
              .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
            const style = getComputedStyle(document.querySelector(selector));
            const text = luminance(selector.startsWith("svg") ? style.fill : style.color);
            const paper = luminance(getComputedStyle(document.body).backgroundColor);
            return (Math.max(text, paper) + .05) / (Math.min(text, paper) + .05);
            })"""
            f"({selector!r})"
        )
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast_in_light_and_dark(report: tuple[Page, Path], dark: bool) -> None:  # noqa: FBT001  pytest calls it
    """In light and in dark every kind of text has the contrast that WCAG requires, and the two differ."""
    opened, path = report
    opened.show(dark=dark)
    opened.open(path)
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == (int(paper.removeprefix("rgb(").partition(",")[0]) < 128)
    for selector in ("h1", "th", "td", ".note", "svg.curve text.tick", "svg.curve text.own", "svg.curve text.value"):
        assert 4.5 <= contrast(opened, selector), selector
    opened.show()


def test_narrow_screens(report: tuple[Page, Path]) -> None:
    """On a narrow screen wide tables scroll horizontally, and the page does not."""
    opened, path = report
    opened.show(width=400)
    opened.open(path)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.show()


def test_it_prints(report: tuple[Page, Path]) -> None:
    """The page prints black on white in dark mode too, without filters, as a PDF document."""
    opened, path = report
    opened.show(media="print", dark=True)
    opened.open(path)
    assert "rgb(255, 255, 255)" == opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert "none" == opened.evaluate("getComputedStyle(document.querySelector('.filter')).display")
    assert opened.print_to_pdf().startswith(b"%PDF-")
    opened.show()


def test_screenshot(report: tuple[Page, Path]) -> None:
    """A screenshot of the page is not blank (MINGLIBC_TEST_PICTURE saves it)."""
    opened, path = report
    opened.open(path)
    picture = opened.screenshot()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    if keep := os.environ.get("MINGLIBC_TEST_PICTURE"):
        Path(keep).write_bytes(picture)


def test_narrow_window(tmp_path: Path) -> None:
    """At 400 pixels only tables and the plot scroll sideways, the first column stays, and the project's cap is visible."""
    steps = tuple(
        CapRange(
            GlibcVersion(2, minor), GlibcVersion(2, minor), {f"package-{n}": (f"1.{minor + n}",) for n in range(150)}
        )
        for minor in range(5, 25)
    )
    path = tmp_path / "report.html"
    path.write_text(render(TEMPLATE, REPORT._replace(ranges=steps, wheels=WHEELS)), "utf-8")
    with browser(tmp_path / "profile") as opened:
        opened.show(width=400)
        opened.open(path)
        assert 400 == opened.evaluate("document.documentElement.scrollWidth")
        assert opened.evaluate("document.documentElement.scrollHeight") < 15_000
        left = "document.querySelector('#matrix {}').getBoundingClientRect().left"
        assert opened.evaluate(left.format("td")) < 20
        assert 20 < opened.evaluate(left.format("th.own")) < 250
        assert [] == opened.errors
