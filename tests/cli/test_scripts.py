"""`lock --script` and `run --script`: scripts with inline metadata (PEP 723)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from minglibc.cache import maintenance
from minglibc.config.inline_metadata import script_block
from minglibc.lock.reader import loads
from tests.support import child
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.projects import RUNNING
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    import subprocess

SCRIPT = """#!/usr/bin/env python3
# /// script
# requires-python = ">={python}"
# dependencies = ["b"]
#
# [tool.minglibc]
# glibc = "2.17"
# python = ["{python}"]
# ///
import sys
import b

print(b.__name__, *sys.argv[1:])
sys.exit(3)
"""


@pytest.fixture
def script(tmp_path: Path, index: IndexServer) -> Path:
    """A locked script that prints its arguments and exits with 3."""
    index.max_age = 0
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("c", "1.0"))
    path = tmp_path / "my.tool.py"
    path.write_text(SCRIPT.format(python=RUNNING))
    ran = minglibc("lock", "--script", str(path), "--index-url", index.url)
    assert 0 == ran.code, ran.err
    return path


def run_script(
    script: Path, *arguments: str, before: Sequence[str] = (), option: Sequence[str] = ("--script",)
) -> "subprocess.CompletedProcess[str]":
    """Run `run --script` in a new process, which the script replaces."""
    return child.run("run", *before, *option, str(script), *arguments)


def test_lock(script: Path, index: IndexServer) -> None:
    """The lock of my.tool.py is pylock.my-tool.toml (PEP 751 allows no dots in the name); it is stale when the block changes."""
    lock = loads((script.parent / "pylock.my-tool.toml").read_text())
    assert {"b": "1.0"} == lock.versions(lock.targets[0])
    assert 0 == minglibc("lock", "--script", str(script), "--check").code
    script.write_text(script.read_text() + "print()\n")
    assert 0 == minglibc("lock", "--script", str(script), "--check").code
    script.write_text(script.read_text().replace('["b"]', '["b", "c"]'))
    stale = minglibc("lock", "--script", str(script), "--check")
    assert 1 == stale.code
    assert "c is required and not locked" in stale.err
    assert "minglibc lock --script my.tool.py" in stale.err


def test_run(script: Path, tmp_path: Path) -> None:
    """`run --script` creates an environment in the cache once, and passes arguments and the exit code."""
    first = run_script(script, "--verbose", "x")
    assert (3, "b --verbose x\n") == (first.returncode, first.stdout), first.stderr
    second = run_script(script)
    assert (3, "b\n", "") == (second.returncode, second.stdout, second.stderr)
    assert not (tmp_path / ".venv").exists()


def test_stale_lock(script: Path) -> None:
    """A script whose lock is stale does not run, and the error names the command that updates it."""
    script.write_text(script.read_text().replace('["b"]', '["b", "c"]'))
    stale = run_script(script)
    assert 1 == stale.returncode
    assert "pylock.my-tool.toml is stale" in stale.stderr


def test_unlocked_script(script: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script without a lock is locked first, under its project's cap if its block has none; --frozen refuses it."""
    monkeypatch.setenv("MINGLIBC_INDEX_URL", index.url)
    lock = script.parent / "pylock.my-tool.toml"
    lock.unlink()
    frozen = run_script(script, before=["--frozen"])
    assert 1 == frozen.returncode
    assert "minglibc lock --script" in frozen.stderr
    lines = [line for line in script.read_text().splitlines() if "minglibc" not in line and "glibc" not in line]
    script.write_text("\n".join(line for line in lines if not line.startswith("# python")) + "\n")
    uncapped = run_script(script)
    assert 2 == uncapped.returncode
    assert "there is no cap for my.tool.py" in uncapped.stderr
    (script.parent / "pyproject.toml").write_text(f'[tool.minglibc]\nglibc = "2.28"\npython = "{RUNNING}"\n')
    ran = run_script(script, "x")
    assert (3, "b x\n") == (ran.returncode, ran.stdout), ran.stderr
    assert '"2.28"' in lock.read_text()


def test_run_recognizes_scripts(script: Path) -> None:
    """`run FILE.py` runs a file with a script block as `run --script FILE.py` does."""
    ran = run_script(script, "x", option=[])
    assert (3, "b x\n") == (ran.returncode, ran.stdout), ran.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("print()\n", "has no script block"),
        ("# /// script\n# dependencies = []\n# ///\n", "there is no cap for x.py"),
        ("# /// script\n# dependencies = [\n# ///\n", "the script block of x.py is not valid TOML"),
        ("# /// script\n# a = 1\n# ///\n\n# /// script\n# a = 1\n# ///\n", "more than one script block"),
        (
            '# /// script\n# dependencies = ["a b c"]\n# requires-python = ">=3.9"\n# [tool.minglibc]\n# glibc = "2.17"\n# ///\n',
            "dependencies[0] is 'a b c', which is not a valid requirement",
        ),
    ],
)
def test_invalid_block(tmp_path: Path, text: str, problem: str) -> None:
    """A missing, repeated or invalid block is a usage error that refers to the block."""
    (tmp_path / "x.py").write_text(text)
    ran = minglibc("lock", "--script", str(tmp_path / "x.py"))
    assert 2 == ran.code
    assert problem in ran.err
    assert "project.dependencies" not in ran.err


def test_unused_environments_are_removed(tmp_path: Path) -> None:
    """`cache` removes a script's environment as a whole, unless one of its files has been used since."""
    old, used = tmp_path / "scripts-1" / "old", tmp_path / "scripts-1" / "used"
    for folder in (old, used):
        (folder / "bin").mkdir(parents=True)
        for name in ("pyvenv.cfg", "bin/activate"):
            (folder / name).write_text("x")
            os.utime(folder / name, (1000, 1000))
    os.utime(used / "bin" / "activate", (3000, 3000))
    assert (2, 2) == maintenance.remove_unused(str(tmp_path), since=2000)
    assert not old.exists()
    assert (used / "pyvenv.cfg").exists()


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ('# /// script\n# dependencies = ["a"]\nprint(1)\n', "the script block at line 1 is empty or has no closing"),
        ('# /// script\n#dependencies = ["a"]\n# ///\n', "line 2 of the script block must begin with '# '"),
        ("#/// script\n# dependencies = []\n# ///\n", "line 1 is '#/// script', but a script block begins with"),
        ("import os\n# /// Script\n# dependencies = []\n# ///\n", "line 2 is '# /// Script'"),
    ],
)
def test_faults_of_the_block(block: str, fault: str) -> None:
    """The message names the line and the fault."""
    with pytest.raises(ValueError, match=re.escape(fault)):
        script_block(block)


def test_byte_order_mark() -> None:
    """It may precede the block."""
    assert script_block("\ufeff# /// script\n# dependencies = []\n# ///\n") == "dependencies = []\n"
