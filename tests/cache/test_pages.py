"""Entries of the page cache that were exchanged, moved or written by another program."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from minglibc.cache.pages import Store
from tests.support.environments import LockedProject
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.mark.parametrize(("kind", "name"), [("pages/one", "c"), ("pages/two", "b"), ("other", "b"), ("a/one", "x")])
def test_an_entry_in_the_place_of_another_is_missing(kind: str, name: str, tmp_path: Path) -> None:
    """An entry is only read under the name that it was written for."""
    with closing(Store(str(tmp_path))) as store:
        store.write("pages/one", "b", {"x": 1}, [b"line"])
        (entry,) = (path for path in tmp_path.rglob("b") if path.is_file())
        target = entry.parents[2] / kind / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(entry, target)
        assert store.read(kind, name) is None
        own = store.read("pages/one", "b")
        assert own is not None
        assert own.head == {"x": 1}


def test_exchanged_entries(index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lock` fetches both pages again after any two entries of the cache were exchanged."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("b", "c"):
        index.add(build_wheel(name, "1.0", requires=["c"] if name == "b" else []))
    project = LockedProject(tmp_path / "project", index)
    project.lock("b")
    expected = (project.folder / "pylock.toml").read_text()
    assert project.command("outdated", "--all").code == 0
    entries = [path for path in (tmp_path / "cache" / "index-v5").rglob("*") if path.is_file()]
    assert len(entries) > 2
    contents = [path.read_bytes() for path in entries]
    for shift in range(1, len(entries)):
        for position, path in enumerate(entries):
            path.write_bytes(contents[(position + shift) % len(entries)])
        for command in (("lock", "--upgrade"), ("outdated", "--all")):
            ran = project.command(*command)
            assert ran.code == 0, ran.err
            assert "Traceback" not in ran.err
        assert (project.folder / "pylock.toml").read_text() == expected


@pytest.mark.parametrize("head", [None, [], {}, {"page": []}, {"page": None}, {"page": ["c"], "etag": 1}, "x", 1])
def test_entries_of_another_form(
    head: object, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry with a valid checksum and other content is fetched again."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    index.add(build_wheel("b", "1.0"))
    project = LockedProject(tmp_path / "project", index)
    project.lock("b")
    (entry,) = (path for path in (tmp_path / "cache" / "index-v5" / "pages").rglob("b"))
    with closing(Store(str(tmp_path / "cache"))) as store:
        store.write(f"pages/{entry.parent.name}", "b", json.loads(json.dumps(head)), [b"[]"])
    ran = project.command("lock", "--upgrade")
    assert ran.code == 0, ran.err
