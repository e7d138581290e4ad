"""The data of a small report."""

from datetime import UTC, datetime
from importlib.resources import files

from minglibc.audit.rules import Finding, Kind
from minglibc.insight.caps import CapRange
from minglibc.insight.outdated import BlockedRelease, ReleaseStatus
from minglibc.insight.report import LockedWheel, ReportData
from minglibc.insight.why import Obstacle
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, PythonVersion, Target

TEMPLATE = (files("minglibc.insight") / "report.html").read_text("utf-8")
TARGETS = tuple(Target(PythonVersion(minor), "x86_64", GlibcVersion(2, 17)) for minor in (9, 11))
STATUS = ReleaseStatus(
    "a",
    "1.0",
    "2.0",
    Obstacle("glibc", "needs glibc 2.28", GlibcVersion(2, 28)),
    BlockedRelease("2.0", GlibcVersion(2, 28)),
    TARGETS,
    "2024-01-01",
    "2026-01-01",
    (),
)
REPORT = ReportData(
    project="controller",
    created=datetime(2026, 3, 1, tzinfo=UTC),
    minglibc="1.2.3",
    targets=TARGETS,
    ranges=(
        CapRange(GlibcVersion(2, 5), GlibcVersion(2, 16), {}, "a"),
        CapRange(GlibcVersion(2, 17), GlibcVersion(2, 27), {"a": ("1.0",), "b": ("1.0",)}),
        CapRange(GlibcVersion(2, 28), NEWEST_GLIBC, {"a": ("2.0",), "b": ("1.0",)}),
    ),
    newest={"a": "2.0", "b": "1.0"},
    statuses=(STATUS, STATUS._replace(name="b", newest="1.0", obstacle=None, held_back=None)),
    findings=(Finding("a 1.0", "a/a.so", Kind.GLIBC, "libc.so.6", "GLIBC_2.34", ("dlopen",), GlibcVersion(2, 34)),),
    wheels=(LockedWheel("a", "1.0", "a-1.0-py3-none-any.whl", 1_500_000, None),),
)
