"""The modules that `lock` imports, since imports take most of the time of a small lock."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

import minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

SOURCES = str(Path(minglibc.__file__).parent.parent)
PYPROJECT = """\
[project]
name = "example"
version = "1"
requires-python = ">=3.9"
dependencies = ["a>=1; python_version > '3'"]

[tool.minglibc]
glibc = "2.17"
python = ["3.9", "3.11"]
"""
CODE = """
import json, os, sys
before = set(sys.modules)
from minglibc.cli import main
code = main(sys.argv[1:])
json.dump([code, sorted(set(sys.modules) - before)], open(os.environ["IMPORTED"], "w"))
"""
SLOW = {
    "_hashlib", "anyio", "asyncio", "dataclasses", "httpcore", "httpx", "importlib.metadata", "inspect", "logging", "msgspec",
    "packaging", "pathlib", "platformdirs", "rich", "shutil", "ssl", "subprocess", "tempfile", "threading", "tomlkit",
    "urllib.request",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project that requires a, which requires b."""
    index.add(build_wheel("a", "1.0", requires=["b<2"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    return folder


def _imported(project: Path, index: IndexServer, arguments: Sequence[str], *, paths: Sequence[str]) -> set[str]:
    """The modules that a successful `lock` imports in an interpreter without site-packages."""
    answer = project.parent / "imported.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "IMPORTED": str(answer)}
    command = [sys.executable, "-S", "-c", CODE, "lock", "--index-url", index.url, *arguments]
    ran = subprocess.run(command, env=environment, cwd=project, capture_output=True, text=True, check=False)
    assert "" == ran.stderr.replace("pylock.toml is up to date\n", "")
    code, modules = json.loads(answer.read_text(encoding="utf-8"))
    assert code == 0
    return set(modules)


def _lock(project: Path, index: IndexServer, *arguments: str) -> set[str]:
    return _imported(project, index, ["--quiet", *arguments], paths=[SOURCES, sysconfig.get_path("purelib")])


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["unchanged", "check"])
def test_imports_of_an_unchanged_lock(project: Path, index: IndexServer, arguments: list[str]) -> None:
    """An unchanged lock imports no other packages, and not re, typing, contextlib or OpenSSL."""
    _lock(project, index)
    modules = _imported(project, index, arguments, paths=[SOURCES])
    assert set() == modules & (
        SLOW | {"argparse", "contextlib", "enum", "functools", "hashlib", "json", "re", "typing"}
    )
    assert set() == {m.partition(".")[0] for m in modules} - sys.stdlib_module_names - {"minglibc"}


def test_imports_of_an_unchanged_lock_with_another_cache(project: Path, index: IndexServer) -> None:
    """The first run with another cache parses pyproject.toml, and later ones use that cache's copy of the result."""
    cache = ["--cache-dir", str(project.parent / "cache")]
    _lock(project, index)
    assert "tomllib" in _lock(project, index, *cache)
    assert "tomllib" not in _lock(project, index, *cache)


# What a new lock of a plain project needs. A module for settings that it does not have, or for a lock that does not exist
# yet, does not belong here: import it where it is used.
WARM = {
    "": {"cli", "errors", "app", "cache", "config", "index", "insight", "lock", "model", "resolve"},
    "cli": {"early_start", "fresh", "lock_output", "output", "plain_options", "signals"},
    "app": {
        *("indexes", "lock", "lock_request", "options", "reporter", "resolution", "resolver_inputs", "session"),
    },
    "index": {"addresses", "client", "credentials"},
    "cache": {"location", "pages"},
    "lock": {"changes", "digest", "document", "source_files"},
    "insight": {"held_back", "shared_versions"},
    "resolve": {
        *("candidates", "multi_target", "passes", "resolution", "resolver"),
    },
    "config": {
        *("atomic_file", "extras_and_groups", "files", "folder_lock", "index_settings", "lock_source", "parser"),
        *("problems", "processes", "project_files", "settings", "target_settings", "toml_file", "workspace"),
    },
    "model": {
        *("architectures", "artifacts", "compatibility", "core_metadata", "lenient", "limits", "platform_tags"),
        *("project_page", "requirements", "targets", "toml", "urls", "versions"),
    },
}


def test_imports_of_a_warm_lock(project: Path, index: IndexServer) -> None:
    """If all pages are fresh in the cache, only the modules that resolve and write a lock are imported."""
    _lock(project, index)
    (project / "pylock.toml").unlink()
    requests = len(index.requests)
    modules = _lock(project, index)
    assert requests == len(index.requests)
    assert set() == modules & (SLOW | {"argparse", "gettext", "ipaddress", "locale", "pickle", "urllib.parse"})
    expected = {
        ".".join(filter(None, ("minglibc", package, name))) for package, names in WARM.items() for name in names
    }
    assert {"minglibc", *expected} == {name for name in modules if name.partition(".")[0] == "minglibc"}
    assert {"tomli_w", "minglibc"} == {name.partition(".")[0] for name in modules} - sys.stdlib_module_names


UNUSED = {"asyncio", "packaging", "rich", "tomlkit", "click", "dataclasses_json", "truststore", "zipfile"}


def test_imports_of_a_cold_lock(project: Path, index: IndexServer) -> None:
    """A lock with an empty cache imports httpx in another process, if there is a second core, and not packaging or rich."""
    modules = _lock(project, index)
    assert (len(os.sched_getaffinity(0)) == 1) == ("httpx" in modules)
    assert set() == modules & UNUSED
