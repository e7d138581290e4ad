"""Pages and files as a static tree."""

import json
from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

OLD, NEW = "cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_34_x86_64"


@pytest.fixture
def filled(index: IndexServer) -> IndexServer:
    """An index with two projects."""
    for version in ("1.0", "2.0"):
        index.add(build_wheel("a", version, tag=OLD))
        index.add(build_wheel("a", version, tag=NEW))
    index.add(build_wheel("b", "1.0"))
    return index


def test_pages(tmp_path: Path, filled: IndexServer) -> None:
    """The tree has the pages of the named projects, in both formats, with the URLs of the upstream."""
    ran = minglibc("serve", "--index-url", filled.url, "--glibc", "2.27", "--export", str(tmp_path), "A", "b")
    assert (0, "Exported 2 pages and 0 files") == (ran.code, ran.err.strip().partition(" to ")[0])
    simple = tmp_path / "glibc-2.27" / "simple"
    page = json.loads((simple / "a" / "index.json").read_text())
    assert ["1.0", "2.0"] == page["versions"]
    assert all(file["url"].startswith(filled.origin) for file in page["files"])
    assert filled.origin in (simple / "b" / "index.html").read_text()
    assert '<a href="a/">' in (simple / "index.html").read_text()
    assert [{"name": "a"}, {"name": "b"}] == json.loads((simple / "index.json").read_text())["projects"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_releases_of_a_lock(tmp_path: Path, filled: IndexServer) -> None:
    """With --from and --proxy-files, the tree has the locked releases and their files."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("a==1.0.0\nb==1.0\n")
    out = tmp_path / "out"
    options = ["--index-url", filled.url, "--glibc", "2.27", "--proxy-files", "--export", str(out), "--from", str(lock)]
    for _ in range(2):
        ran = minglibc("serve", *options)
        assert (0, "Exported 2 pages and 4 files") == (ran.code, ran.err.strip().partition(" to ")[0])
    root = out / "glibc-2.27"
    (file,) = json.loads((root / "simple" / "a" / "index.json").read_text())["files"]
    wheel = root / "simple" / "a" / file["url"]
    assert wheel.resolve() == (root / "files" / "a" / f"a-1.0-{OLD}.whl").resolve()
    assert build_wheel("a", "1.0", tag=OLD).content == wheel.read_bytes()
    assert build_wheel("a", "1.0", tag=OLD).metadata == Path(f"{wheel.resolve()}.metadata").read_bytes()


def test_failures(tmp_path: Path, filled: IndexServer) -> None:
    """What can't be exported is an error, and no page lists a file that is missing."""
    options = ["serve", "--index-url", filled.url, "--glibc", "2.27", "--export", str(tmp_path / "out")]
    assert (1, True) == ((ran := minglibc(*options, "missing")).code, "missing is on none of" in ran.err)
    assert (2, True) == ((ran := minglibc(*options)).code, "nothing to export" in ran.err)
    assert (2, True) == ((ran := minglibc(*options, "../x")).code, "not the name of a project" in ran.err)
    assert 1 == minglibc(*options, "--from", str(tmp_path / "missing.lock")).code
    filled.fault("/files/b-*.whl", lambda exchange: exchange.hang_up(reset=True))
    assert 3 == minglibc(*options[:-2], "--proxy-files", *options[-2:], "b").code
    assert not list(tmp_path.rglob("b/index.*"))
    (tmp_path / "file").touch()
    refused = minglibc(*options[:-1], str(tmp_path / "file"), "b")
    assert (1, True) == (refused.code, f"can't write {tmp_path}/file/" in refused.err)
    assert 2 == minglibc("serve", "--from", "x").code
