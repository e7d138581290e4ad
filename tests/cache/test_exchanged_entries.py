"""Cache entries that were exchanged, or contain other values with valid checksums, are treated as missing."""

import itertools
import json
import os
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from minglibc.cache.location import INDEX_FORMAT as FORMAT
from minglibc.cache.pages import Store
from minglibc.model.core_metadata import CoreMetadata
from tests.support.environments import LockedProject, check_whole, locked_pair
from tests.support.index import IndexServer

SHAPES: tuple[Any, ...] = (None, True, 5, "text", [], {}, [[]], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], [["b", 1, {}]])
HEADS: tuple[Any, ...] = (
    {"expires": 1e12, "known": 5},
    {"expires": 1e12, "known": [5]},
    {"expires": 1e12, "known": [["a", 5, [], "", ""]]},
    {"expires": "soon", "known": []},
    {"page": [1, 2, 3, 4, 5, []], "etag": "", "max-age": 1},
    {"page": ["b", 5, "active", "", [], []], "etag": "", "max-age": 1},
    {"page": None, "etag": "", "max-age": "1"},
)
COMMANDS = ("lock --upgrade", "outdated", "check", "sync", "lock --upgrade --offline")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project whose commands have filled a cache of their own."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    project = locked_pair(tmp_path / "project", index)
    run_all(project)
    return project


def run_all(project: LockedProject) -> None:
    """Run commands that read every kind of entry; all succeed, and the lock stays the same."""
    before = (project.folder / "pylock.toml").read_bytes()
    for command in COMMANDS:
        name, *arguments = command.split()
        ran = project.command(name, *arguments)
        assert (0, False) == (ran.code, "Traceback" in ran.err), (command, ran.err)
    assert before == (project.folder / "pylock.toml").read_bytes()
    check_whole(project.venv)


def entries() -> list[Path]:
    """The files of the cache."""
    return sorted(path for path in Path(os.environ["MINGLIBC_CACHE_DIR"]).rglob("*") if path.is_file())


def test_exchanged_files(project: LockedProject) -> None:
    """Each file of the cache has the content of the next one of the same kind, and then of another kind."""
    kinds = {path.relative_to(os.environ["MINGLIBC_CACHE_DIR"]).parts[:2] for path in entries()}
    assert {(FORMAT, "pages"), (FORMAT, "advisories"), (FORMAT, "metadata"), (FORMAT, "binaries-3")} <= kinds
    for step in (1, 3):
        paths = entries()
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, contents[step:] + contents[:step], strict=True):
            path.write_bytes(content)
        run_all(project)


def test_other_values(project: LockedProject) -> None:
    """Each entry has another value, whose checksum is valid."""
    root = Path(os.environ["MINGLIBC_CACHE_DIR"])
    store = Store(str(root))
    values = itertools.cycle((*SHAPES, *HEADS))
    for _ in range(6):
        for path, value in zip(entries(), values, strict=False):
            parts = path.relative_to(root).parts
            if parts[0] == FORMAT and len(parts) > 2:
                store.write("/".join(parts[1:-1]), parts[-1], value)
        run_all(project)


@pytest.mark.parametrize("journal", ["metadata", "interpreters"])
def test_other_values_in_journals(journal: str, project: LockedProject) -> None:
    """The same for the values in journals."""
    path = Path(os.environ["MINGLIBC_CACHE_DIR"], FORMAT, journal)
    names = {line[9:].partition(b" ")[0] for line in path.read_bytes().split(b"\n") if line}
    for value in (*SHAPES[::2], ["b", "1.0", [5], "", []], ["b", "1.0", "c", "", 5]):
        contents = [name + b" " + json.dumps(value).encode() for name in names]
        path.write_bytes(b"".join(b"\n%08x %b\n" % (crc32(content), content) for content in contents))
        run_all(project)


def test_metadata_is_read_as_written() -> None:
    """Only the fields in their own order are metadata."""
    valid = ["b", "1.0", ["c>=1"], ">=3.9", ["x"]]
    loaded = [CoreMetadata.load(list(fields)) for fields in itertools.permutations(valid)]
    expected = CoreMetadata("b", "1.0", ("c>=1",), ">=3.9", ("x",))
    assert expected == loaded[0]
    # Three strings and two lists: only the strings, and the lists, can be exchanged for each other.
    assert 12 == sum(metadata is not None for metadata in loaded)
