"""The pre-commit hooks: `minglibc-lock` updates the lock, and `minglibc-lock-check` fails if it is stale."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS = ("minglibc-lock", "minglibc-lock-check", "minglibc-sync")


def pre_commit() -> str:
    """The pre-commit of this environment or on PATH; the test is skipped if there is none."""
    own = Path(sys.executable).with_name("pre-commit")
    program = str(own) if own.exists() else shutil.which("pre-commit")
    if not program:
        pytest.skip("pre-commit is not installed")
    return program


def run(*arguments: str | Path, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in *folder*."""
    return subprocess.run(arguments, cwd=folder, env=env, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> str:
    """Run git in *folder*, which must succeed."""
    ran = run("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid", *arguments, folder=folder)
    assert not ran.returncode, ran.stderr
    return ran.stdout


def entries() -> dict[str, list[str]]:
    """The command of each hook."""
    hooks = re.findall(r"^- id: (\S+)\n(?:  .*\n)*?  entry: (.*)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: shlex.split(entry) for name, entry in hooks}


def test_manifest_is_valid() -> None:
    """pre-commit accepts the manifest, which has three hooks."""
    ran = run(pre_commit(), "validate-manifest", MANIFEST, folder=ROOT)
    assert not ran.returncode, ran.stdout
    assert HOOKS == tuple(entries())


def test_files_of_the_lock_hooks() -> None:
    """The lock hooks run for pyproject.toml, pylock.toml and the locks of other tools in any folder, and for no other files."""
    patterns = re.findall(r"^  files: (.*)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    assert 2 == len(patterns)
    for pattern in patterns:
        for name in (
            "pyproject.toml",
            "pylock.toml",
            "services/api/pyproject.toml",
            "uv.lock",
            "api/poetry.lock",
            "Pipfile.lock",
        ):
            assert re.search(pattern, name)
        for name in ("mypyproject.toml", "pylock.toml.orig", "pyproject.tomlx", "Cargo.lock", "uv.lock.orig"):
            assert not re.search(pattern, name)


def test_commands_of_the_hooks(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails for a stale lock without using the index, `lock` updates it, and `sync` installs it."""
    index.add(build_wheel("alpha", "1.0"))
    monkeypatch.chdir(write_project(tmp_path, index, ["alpha"]))
    lock(tmp_path)
    write_project(tmp_path, index, ["alpha>=1"])
    index.reset()
    commands = {name: command for name, (_, *command) in entries().items()}
    assert 1 == minglibc(*commands["minglibc-lock-check"]).code
    assert not index.requests
    assert not minglibc(*commands["minglibc-lock"]).code
    assert not minglibc(*commands["minglibc-lock-check"]).code
    assert not minglibc(*commands["minglibc-sync"]).code
    assert list((tmp_path / ".venv").glob("lib/python*/site-packages/alpha/__init__.py"))


@pytest.mark.online
def test_hooks_in_pre_commit(tmp_path: Path, index: IndexServer) -> None:
    """With a clone of this repository: the check fails for a stale lock, the lock hook updates it, and a checkout syncs."""
    program = pre_commit()
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git repository")
    source = tmp_path / "minglibc"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(source))
    index.add(build_wheel("alpha", "1.0"))
    index.add(build_wheel("beta", "1.0"))
    folder = write_project(tmp_path / "project", index, ["alpha"])
    lock(folder)
    configuration = [
        f"repos:\n  - repo: {source.as_uri()}\n    rev: {git(source, 'rev-parse', 'HEAD').strip()}\n    hooks:",
        *(f"      - id: {name}" for name in HOOKS),
    ]
    (folder / ".pre-commit-config.yaml").write_text("\n".join(configuration) + "\n", encoding="utf-8")
    (folder / ".gitignore").write_text(".venv\n", encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "start")
    home = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"), "PRE_COMMIT_COLOR": "never"}

    fresh = run(program, "run", "--all-files", folder=folder, env=home)
    assert not fresh.returncode, fresh.stdout
    assert 2 == fresh.stdout.count("Passed")

    write_project(folder, index, ["alpha", "beta"])
    index.reset()
    check = run(program, "run", "minglibc-lock-check", "--all-files", folder=folder, env=home)
    assert check.returncode
    assert "beta is required and not locked" in check.stdout
    assert not index.requests
    update = run(program, "run", "minglibc-lock", "--all-files", folder=folder, env=home)
    assert "files were modified by this hook" in update.stdout
    assert 'name = "beta"' in (folder / "pylock.toml").read_text(encoding="utf-8")
    git(folder, "commit", "--quiet", "-am", "beta")
    assert not run(program, "run", "--all-files", folder=folder, env=home).returncode

    synced = run(
        program, "run", "--hook-stage", "post-checkout", "--from-ref", "HEAD~1", "--to-ref", "HEAD",
        folder=folder, env=home,
    )  # fmt: skip
    assert not synced.returncode, synced.stdout
    assert list((folder / ".venv").glob("lib/python*/site-packages/beta/__init__.py"))
