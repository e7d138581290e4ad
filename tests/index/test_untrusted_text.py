"""What strangers say, on pages, in wheels and in advisories, is shown as text: it moves no cursor and forges no line."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minglibc.cli import output
from tests.support.commands import minglibc
from tests.support.faults import Fault
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

# Clears the screen, names the window, begins lines of its own, turns the reading direction.
SAYS = "told\x1b[2J\x1b]0;x\x07\nerror: forged\r\nhint: forged\u2028hint: forged\u202e\x9b2J"
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]|^(?:error|hint): forged", re.MULTILINE)


@pytest.fixture
def project(index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that requires a, which requires b; this is its folder, in which reports are left."""
    monkeypatch.chdir(tmp_path)
    index.add(build_wheel("a", "1.0", requires=["b==1.0"]))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["a"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{index.url}"\n'
    )
    return tmp_path


def said(project: Path, *commands: str) -> str:
    """All that the commands say, of which nothing may be what a terminal obeys."""
    told = ""
    for command in commands:
        ran = minglibc(*command.split(), "--project", str(project))
        assert "Traceback" not in ran.err
        assert BAD.search(ran.out + ran.err) is None, ran
        told += ran.out + ran.err
    return told


ALL = (
    "lock -vv",
    "lock -vv --upgrade --dry-run",
    "why b",
    "outdated",
    "caps",
    "tree",
    "check",
    "report -o report.html",
)


def test_reasons_of_pages(project: Path, index: IndexServer) -> None:
    """Why a release was yanked, and why a project has its status, stand on one line without control characters."""
    index.add(build_wheel("b", "1.0"), yanked=SAYS)
    index.project_status("a", "archived", SAYS)
    assert 2 <= said(project, *ALL).count("told")


def test_reasons_of_a_refusal(project: Path, index: IndexServer) -> None:
    """The same where the lock is refused, for yanked releases and for a quarantined project."""
    index.add(build_wheel("b", "2.0"), yanked=SAYS)
    assert "b" in said(project, "lock")
    index.add(build_wheel("b", "1.0"))
    index.project_status("b", "quarantined", SAYS)
    assert "told" in said(project, "lock --refresh")


@pytest.mark.parametrize(
    "fields",
    [
        {"requires-python": SAYS},
        {"requires-python": f">={SAYS}"},
        {"filename": f"b-1.0-{SAYS}-none-any.whl"},
        {"filename": f"b-1.0-py3-{SAYS}-any.whl"},
        {"filename": f"b-1.0-py3-none-{SAYS}.whl"},
        {"filename": "b-1.0-py-none-any.whl"},
        {"filename": "b-1.0-py3.-none-any.whl"},
        {"filename": "b-1.0-cp3-none-manylinux_2_28_x86_64.whl"},
        {"filename": "b-1.0-..-..-...whl"},
        {"filename": "b-1.0\n-py3-none-any.whl"},
        {"filename": f"{SAYS}-1.0-py3-none-any.whl"},
        {"url": f"http://{SAYS}/b-1.0-py3-none-any.whl"},
        {"url": f"file:///{SAYS}"},
        {"upload-time": SAYS},
        {"yanked": SAYS},
        {"hashes": {"sha256": SAYS}},
        {"core-metadata": {"sha256": SAYS}},
    ],
    ids="-".join,
)
def test_entries_of_pages(project: Path, index: IndexServer, fields: dict[str, Any]) -> None:
    """Whatever stands in a file's entry, what is said of it is plain text, and nothing is a traceback."""
    index.project_json = False
    index.add(build_wheel("b", "1.0"))
    entry = {"filename": "b-1.0-py3-none-any.whl", "url": f"{index.origin}/files/b-1.0-py3-none-any.whl", **fields}
    page = {"meta": {"api-version": "1.1"}, "name": "b", "files": [entry]}
    index.fault("/simple/b/", Fault.body(json.dumps(page).encode()))
    said(project, "lock -v", "lock --glibc 2.5")


@pytest.mark.parametrize("field", ["Name", "Version", "Requires-Dist", "Requires-Python", "Provides-Extra"])
def test_metadata(project: Path, index: IndexServer, field: str) -> None:
    """Whatever stands in METADATA, what is said of it is plain text."""
    lines = {"Name": "b", "Version": "1.0"}
    lines[field] = SAYS.replace("\n", " ").replace("\r", " ")
    text = "Metadata-Version: 2.1\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())
    index.add(build_wheel("b", "1.0", metadata=text.encode()))
    said(project, "lock -v", "why b")


def test_advisories(project: Path, index: IndexServer) -> None:
    """An advisory of strange words, versions and depth is shown as text, or passed over."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "1.1"))
    assert not minglibc("lock", "--project", str(project)).code
    advisory = {"id": SAYS, "aliases": [SAYS], "fixed_in": [SAYS, "1.1", "garbage"], "summary": SAYS, "link": SAYS}
    answer = {"info": {"version": "1.0"}, "vulnerabilities": [advisory]}
    index.fault("/pypi/b/1.0/json", Fault.body(json.dumps(answer).encode(), "application/json"))
    index.fault("/pypi/a/1.0/json", Fault.body(b'{"info":{"version":"1.0"},"x":' + b"[" * 100_000, "application/json"))
    said(project, "outdated", "caps", "report -o report.html")
    minglibc("report", "--project", str(project), "-o", str(project / "report.html"))


def test_server_headers(project: Path, index: IndexServer) -> None:
    """A header that ends up in a message is plain text."""
    index.fault("/simple/b/", Fault.body(b"x", "text/\x1b[2Jplain\x9b"))
    assert "text/" in said(project, "lock")


def test_the_last_guard() -> None:
    """What reaches stderr through minglibc's own hands has no control characters, and keeps its lines."""
    code = f"from minglibc.cli.output import print_message; print_message({SAYS!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not set(b"\x1b\x07\r") & set(ran.stderr)
    assert ran.stderr.count(b"\n") == SAYS.count("\n") + 1
    assert re.search(output._CONTROL, SAYS)
