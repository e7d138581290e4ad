"""Writes and locks projects."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer


def write_project(
    folder: Path,
    index: IndexServer,
    requires: Iterable[str] = (),
    *,
    python: Iterable[str] = ("3.11",),
    architectures: Iterable[str] = ("x86_64",),
    glibc: str = "2.17",
    extras: Mapping[str, Iterable[str]] | None = None,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> Path:
    """A project in *folder* whose index is *index*."""
    folder.mkdir(parents=True, exist_ok=True)
    # A JSON list of strings is a TOML array.
    lines = [
        "[project]",
        'name = "example"',
        'version = "0.1.0"',
        'requires-python = ">=3.6"',
        f"dependencies = {json.dumps(list(requires))}",
        "",
        "[project.optional-dependencies]",
        *(f"{name} = {json.dumps(list(entries))}" for name, entries in (extras or {}).items()),
        "",
        "[dependency-groups]",
        *(f"{name} = {json.dumps(list(entries))}" for name, entries in (groups or {}).items()),
        "",
        "[tool.minglibc]",
        f'glibc = "{glibc}"',
        f"python = {json.dumps(list(python))}",
        f"architectures = {json.dumps(list(architectures))}",
        f'index-url = "{index.url}"',
        "",
    ]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def lock(folder: Path, *options: str) -> Ran:
    """Lock the project in *folder*, which must succeed."""
    ran = minglibc("lock", "--project", str(folder), *options)
    assert not ran.code, ran.err
    return ran
