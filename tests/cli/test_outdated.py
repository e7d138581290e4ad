"""`minglibc outdated`: newer releases, what blocks them, and known vulnerabilities."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.specifiers import SpecifierSet
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from minglibc.insight.outdated import age
from minglibc.model.targets import GlibcVersion, platform_tags
from minglibc.model.urls import DEFAULT_INDEX_URL
from tests.support.explained import Project, manylinux, valid
from tests.support.faults import Fault
from tests.support.index import IndexServer, Misbehaviour
from tests.support.wheels import build_wheel

# Settings, what is published after locking, and a part of the text.
Setup = tuple[dict[str, Any], Callable[[IndexServer], object], str]


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project on an index of its own."""
    return Project(tmp_path, index)


def row(project: Project, name: str, *arguments: str) -> Any:
    """The one row of *name*."""
    (package,) = [candidate for candidate in project.json("outdated", *arguments) if candidate["name"] == name]
    return package


def test_cap(project: Project) -> None:
    """A newer release that only the cap blocks is listed with the lowest cap that allows it, and both ages."""
    project.index.add(build_wheel("a", "1.0", manylinux(17)), upload_time="2024-11-22T10:00:00.000000Z")
    project.index.add(build_wheel("a", "2.0", manylinux(28)), upload_time="2025-11-22T10:00:00.000000Z")
    project.index.add(build_wheel("a", "2.0", manylinux(34)), upload_time="2025-11-23T10:00:00.000000Z")
    package = row(project.write("a").lock(), "a")
    assert ("1.0", "2.0", True) == (package["locked"], package["newest"], package["behind"])
    assert ("glibc", "needs glibc 2.28", "2.28") == (package["reason"], package["detail"], package["needs"])
    assert {"version": "2.0", "needs": "2.28"} == package["held-back"]
    assert ("2024-11-22", "2025-11-22") == (package["uploaded"], package["newest-uploaded"])
    days = (datetime.now(UTC).date() - datetime(2024, 11, 22, tzinfo=UTC).date()).days
    assert days == package["age-days"]
    assert [{"python": "3.9", "architecture": "x86_64", "glibc": "2.17"}] == package["targets"]


def test_newest_of_all_is_no_row(project: Project) -> None:
    """A locked release that is the newest is in the JSON and, without --all, not in the table."""
    project.index.add(build_wheel("a", "1.0"))
    package = row(project.write("a").lock(), "a")
    assert (None, False, None) == (package["reason"], package["behind"], package["held-back"])
    assert "" == project.run("outdated").out
    assert re.search(r"^a +1\.0 ", project.run("outdated", "--all").out, re.MULTILINE)


def test_held_back_below_the_newest(project: Project) -> None:
    """If the newest release needs another Python, the newest that only the cap blocks is listed as well."""
    for version, tag, python in (("1.0", 17, None), ("2.0", 28, None), ("3.0", 28, ">=3.12")):
        project.index.add(build_wheel("a", version, manylinux(tag), requires_python=python))
    project.write("a").lock()
    package = row(project, "a")
    assert ("3.0", "requires-python") == (package["newest"], package["reason"])
    assert {"version": "2.0", "needs": "2.28"} == package["held-back"]
    assert "needs Python >=3.12; 2.0 needs glibc 2.28" in project.run("outdated").out


def _quarantine(index: IndexServer) -> None:
    index.add(build_wheel("a", "2.0"))
    index.project_status("a", "quarantined", "malware")


REASONS: dict[str, Setup] = {
    "pre-release": ({}, lambda index: index.add(build_wheel("a", "2.0rc1")), "is a pre-release"),
    "yanked": ({}, lambda index: index.add(build_wheel("a", "2.0"), yanked="broken"), "is yanked: broken"),
    "requires-python": (
        {},
        lambda index: index.add(build_wheel("a", "2.0", requires_python=">=3.10")),
        "needs Python >=3.10",
    ),
    "source-only": ({}, lambda index: index.add_sdist("a", "2.0"), "has no wheel"),
    "architecture": (
        {},
        lambda index: index.add(build_wheel("a", "2.0", manylinux(17, architecture="aarch64"))),
        "has no wheel for x86_64",
    ),
    "interpreter": (
        {},
        lambda index: index.add(build_wheel("a", "2.0", "cp312-cp312-manylinux_2_17_x86_64")),
        "has no wheel for CPython 3.9",
    ),
    "too-new": (
        {"exclude-newer": "2026-02-01"},
        lambda index: index.add(build_wheel("a", "2.0"), upload_time="2026-03-01T00:00:00.000000Z"),
        "was uploaded 2026-03-01, after exclude-newer",
    ),
    "requirement": ({}, lambda index: index.add(build_wheel("a", "3.0")), "other 1.0 requires a<3"),
    "free": ({}, lambda index: index.add(build_wheel("a", "2.0")), "an upgrade is available: run `minglibc lock -P a`"),
    "quarantined": (
        {},
        _quarantine,
        "has quarantined the project: malware",
    ),
    "conflict": (
        {},
        lambda index: index.add(build_wheel("a", "2.0", requires=["other>1"])),
        "requires other>1, but 1.0 is locked",
    ),
    "unusable": (
        {},
        lambda index: index.add(build_wheel("a", "2.0", requires=["other >=1.0.*"])),
        "is unusable:",
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_reasons(project: Project, reason: str) -> None:
    """Each reason that blocks a newer release has a name and a text."""
    settings, publish, words = REASONS[reason]
    project.index.add(build_wheel("a", "1.0"))
    project.index.add(build_wheel("other", "1.0", requires=["a<3"]))
    project.write("a", "other", **settings).lock()
    publish(project.index)
    package = row(project, "a")
    assert reason == package["reason"]
    assert words in package["detail"]
    assert package["behind"] is (reason not in {"pre-release", "yanked"})
    assert package["needs"] is None


def test_constraint(project: Project) -> None:
    """A constraint of the settings can block a release."""
    project.index.add(build_wheel("a", "1.0"))
    project.index.add(build_wheel("a", "2.0"))
    package = row(project.write("a", constraints=["a<2"]).lock(), "a")
    assert ("requirement", "a constraint requires a<2") == (package["reason"], package["detail"])


def test_cap_of_a_dependency(project: Project) -> None:
    """If the cap blocks a requirement of a release, the needed cap is that of the requirement."""
    project.index.add(build_wheel("a", "1.0", requires=["b"]))
    project.index.add(build_wheel("a", "2.0", requires=["b>=2"]))
    project.index.add(build_wheel("b", "1.0", manylinux(17)))
    project.index.add(build_wheel("b", "2.0", manylinux(28)))
    package = row(project.write("a").lock(), "a")
    assert "requires b>=2, which needs glibc 2.28" == package["detail"]
    assert "2.28" == package["needs"]
    assert {"version": "2.0", "needs": "2.28"} == package["held-back"]


def test_one_release_for_all_targets(project: Project) -> None:
    """A release that one target blocks is blocked for the next; the table has one row, the JSON one for each."""
    project.index.add(build_wheel("a", "1.0"))
    project.index.add(build_wheel("a", "2.0", requires_python=">=3.10"))
    project.write("a", python=["3.9", "3.11"]).lock()
    first, second = project.json("outdated")
    assert ("requires-python", "other-target") == (first["reason"], second["reason"])
    assert "kept the same as on CPython 3.9, x86_64 (needs Python >=3.10)" == second["detail"]
    table = project.run("outdated").out.splitlines()
    assert 2 == len(table)
    assert table[1].startswith("a        1.0")


def vulnerable(project: Project) -> Project:
    """Release 1.0, locked under 2.17, with a vulnerability that 1.1 (glibc 2.28) and 2.0 (2.34) fix."""
    for version, minor in (("1.0", 17), ("1.1", 28), ("2.0", 34)):
        project.index.add(build_wheel("a", version, manylinux(minor)))
    fixed = {"aliases": ["CVE-2026-1"], "fixed_in": ["1.1", "2.0"], "summary": "Executes arbitrary code."}
    project.index.vulnerability("a", "1.0", "GHSA-x", **fixed)
    return project.write("a").lock()


def test_vulnerabilities(project: Project) -> None:
    """A known vulnerability is listed with its aliases, the first release that fixes it, and its cap."""
    (vulnerability,) = row(vulnerable(project), "a")["vulnerabilities"]
    assert ("GHSA-x", ["CVE-2026-1"]) == (vulnerability["id"], vulnerability["aliases"])
    assert (["1.1", "2.0"], {"version": "1.1", "needs": "2.28"}) == (vulnerability["fixed-in"], vulnerability["remedy"])
    assert "CVE-2026-1, GHSA-x (fixed in 1.1, needs glibc 2.28)" in project.run("outdated").out


def test_fix_within_the_cap(project: Project) -> None:
    """A fix that the current cap allows is marked; withdrawn advisories are ignored."""
    vulnerable(project)
    project.index.add(build_wheel("a", "1.2", manylinux(17)))
    project.index.vulnerability("a", "1.0", "GHSA-w", withdrawn="2026-01-01T00:00:00Z")
    assert "fixed in 1.2, within the cap" in project.run("outdated").out
    assert "GHSA-w" not in project.run("outdated").out


@pytest.mark.parametrize(("wanted", "code"), [("vulnerable", 1), ("unknown", 1), ("held-back", 1), ("outdated", 1)])
def test_fail_on(project: Project, wanted: str, code: int) -> None:
    """`--fail-on` makes the exit code 1; without it the exit code is 0."""
    vulnerable(project)
    assert code == project.run("outdated", "--fail-on", wanted).code
    assert 0 == project.run("outdated").code


def test_fail_on_unknown(project: Project) -> None:
    """A release without known vulnerabilities passes; one without data fails only for "unknown"."""
    project.index.add(build_wheel("a", "1.0"))
    project.write("a").lock()
    every = [flag for name in ("vulnerable", "unknown", "held-back", "outdated") for flag in ("--fail-on", name)]
    assert 0 == project.run("outdated", *every).code
    project.index.add(build_wheel("b", "1.0"))
    project.index.version_json = False
    project.write("a", "b").lock()
    assert 0 == project.run("outdated", "--fail-on", "vulnerable").code
    assert 1 == project.run("outdated", "--fail-on", "unknown").code


def test_no_known_vulnerabilities(project: Project) -> None:
    """If the index has data on the release and lists no vulnerability, the output is "none known"."""
    project.index.add(build_wheel("a", "1.0"))
    assert [] == row(project.write("a").lock(), "a")["vulnerabilities"]
    assert "none known" in project.run("outdated", "--all").out


def test_newest_release_by_the_project_json(project: Project) -> None:
    """Without a JSON API for releases, the project's JSON is used for the newest; an empty list means unknown."""
    project.index.version_json = False
    project.index.add(build_wheel("a", "1.0"))
    project.index.add(build_wheel("b", "1.0"))
    project.index.vulnerability("a", "1.0", "GHSA-x")
    project.write("a", "b").lock()
    (vulnerability,) = row(project, "a")["vulnerabilities"]
    assert "GHSA-x" == vulnerability["id"]
    assert vulnerability["remedy"] is None
    assert row(project, "b")["vulnerabilities"] is None
    assert "unknown" in project.run("outdated", "--all").out


def test_old_releases_without_their_own_json(project: Project) -> None:
    """The project's JSON is only used for its newest release."""
    project.index.version_json = False
    vulnerable(project)
    project.index.vulnerability("a", "2.0", "GHSA-new")
    assert row(project, "a")["vulnerabilities"] is None
    assert [] == project.index.paths("/pypi/a/json")


@pytest.mark.parametrize("misbehave", [Fault.reset(), Fault.body(b"no JSON")], ids=["reset", "no JSON"])
def test_failing_json_api(project: Project, monkeypatch: pytest.MonkeyPatch, misbehave: Misbehaviour) -> None:
    """If the JSON API fails, vulnerabilities are unknown, and the rest of the output is complete."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    vulnerable(project)
    project.index.fault("/pypi/*", misbehave)
    ran = project.run("outdated")
    assert re.search(r"^a +1\.0 .* needs glibc 2\.34$", ran.out, re.MULTILINE)
    assert "1 without vulnerability data" in ran.err
    assert "; 1 without vulnerability data" in ran.err
    assert 0 == ran.code


def test_offline(project: Project) -> None:
    """Offline, cached vulnerabilities are used; others are unknown."""
    vulnerable(project)
    assert row(project, "a", "--offline")["vulnerabilities"] is None
    project.run("outdated")
    project.index.reset()
    assert 1 == len(row(project, "a", "--offline")["vulnerabilities"])
    assert [] == project.index.paths()


def test_missing_stale_and_damaged_locks(project: Project) -> None:
    """A missing or damaged lock is an error, a stale one a warning; the lock is not changed."""
    project.index.add(build_wheel("a", "1.0"))
    project.write("a")
    missing = project.run("outdated")
    assert (1, "") == (missing.code, missing.out)
    assert "there is no pylock.toml" in missing.err
    path = project.lock().folder / "pylock.toml"
    before = path.read_bytes()
    project.index.add(build_wheel("a", "2.0"))
    project.index.add(build_wheel("b", "1.0"))
    stale = project.write("a", "b").run("outdated")
    assert "warning: pylock.toml is stale" in stale.err
    assert re.search(r"^a +1\.0 .* 2\.0 ", stale.out, re.MULTILINE)
    assert before == path.read_bytes()
    path.write_bytes(before.replace(b"1.0", b"0.9"))
    assert 1 == project.run("outdated").code


def test_locked_release_was_removed_from_the_index(project: Project) -> None:
    """A locked release that was removed from the index is compared with the remaining ones."""
    wheel = project.index.add(build_wheel("a", "1.0", requires=["b"]))
    project.index.add(build_wheel("b", "1.0"))
    project.index.add(build_wheel("a", "0.9"))
    project.write("a").lock()
    project.index.remove(wheel.filename)
    assert row(project, "a")["reason"] is None
    project.index.add(build_wheel("a", "1.1"))
    assert ("1.0", "1.1", "free") == tuple(row(project, "a")[key] for key in ("locked", "newest", "reason"))


def test_age() -> None:
    """An age is in whole days, never negative, and None without a date."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert 1 == age("2026-02-28", now)
    assert 0 == age("2026-03-02", now)
    assert age("", now) is None


# The expected result, computed with packaging.


def expected_release(name: str, locked: str, python: tuple[int, int]) -> tuple[str, GlibcVersion | None]:
    """The newest final release above *locked*, and the lowest cap under which it has a wheel."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    page = httpx.get(f"{DEFAULT_INDEX_URL}{name}/", headers=accept, timeout=60).json()
    releases: dict[Version, list[str]] = {}
    for file in page["files"]:
        if file["filename"].endswith((".whl", ".tar.gz", ".zip")) and not file["yanked"]:
            with contextlib.suppress(InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
                wheel = file["filename"].endswith(".whl")
                version = (parse_wheel_filename if wheel else parse_sdist_filename)(file["filename"])[1]
                python_fits = Version(".".join(map(str, (*python, 25)))) in SpecifierSet(file["requires-python"] or "")
                releases.setdefault(version, []).extend([file["filename"]] if wheel and python_fits else [])
    newest = max(version for version in releases if not version.is_prerelease)
    if newest <= Version(locked):
        return locked, None
    for minor in range(5, 44):
        platforms = platform_tags("x86_64", GlibcVersion(2, minor))
        tags = {*cpython_tags(python, platforms=platforms), *compatible_tags(python, platforms=platforms)}
        if any(parse_wheel_filename(filename)[3] & tags for filename in releases[newest]):
            return str(newest), GlibcVersion(2, minor)
    return str(newest), None


@pytest.mark.online
@pytest.mark.parametrize(
    ("dependencies", "python", "glibc", "held"),
    [
        (["paramiko"], "3.9", "2.17", set()),
        (["paramiko"], "3.9", "2.12", {"bcrypt", "cryptography", "paramiko", "pynacl"}),
        (["paramiko"], "3.9", "2.5", {"bcrypt", "cryptography", "paramiko", "pynacl"}),
        (["torch", "pyarrow", "lxml"], "3.12", "2.17", {"torch", "pyarrow"}),
        (["numpy"], "3.12", "2.17", {"numpy"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value) if isinstance(value, str) else "",
)
def test_the_public_index(tmp_path: Path, dependencies: list[str], python: str, glibc: str, held: set[str]) -> None:
    """On the public index, the newest release and the cap that it needs match those computed with packaging."""
    Project(tmp_path, IndexServer()).write(*dependencies, glibc=glibc, python=[python])
    command = [sys.executable, "-m", "minglibc"]
    subprocess.run([*command, "lock", "--quiet"], cwd=tmp_path, check=True)
    ran = subprocess.run([*command, "outdated", "--json"], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    rows = valid("outdated", ran.stdout.decode())
    assert held <= {row["name"] for row in rows if row["held-back"]}
    for row in rows:
        if row["name"] in {*dependencies, *held}:
            major, minor = map(int, python.split("."))
            newest, needs = expected_release(row["name"], row["locked"], (major, minor))
            assert (row["name"], newest) == (row["name"], row["newest"] if row["behind"] else row["locked"])
            if row["reason"] == "glibc":
                assert (row["name"], str(needs)) == (row["name"], row["needs"])
        # Mirrors may have no vulnerability data.
        assert row["vulnerabilities"] is None or isinstance(row["vulnerabilities"], list)
