"""The commands that explain a lock support those of projects, requirements files and scripts."""

import json
from pathlib import Path

import pytest

from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

DONE = 0
LOCKS = ("tools/pylock.tools.toml", "pylock.job.toml", "project/pylock.toml")


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three locks of app and lib under the cap 2.17, which holds back lib 2.0; the current folder has no project."""
    index.add(build_wheel("app", "1.0", requires=["lib"]))
    index.add(build_wheel("lib", "1.0"))
    index.add(build_wheel("lib", "2.0", "cp311-cp311-manylinux_2_28_x86_64"))
    monkeypatch.chdir(tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "requirements.in").write_text("app\n")
    (tools / "pyproject.toml").write_text(f'[tool.minglibc]\nindex-url = "{index.url}"\n')
    (tmp_path / "job.py").write_text(
        '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["app"]\n#\n# [tool.minglibc]\n'
        f'# glibc = "2.17"\n# python = "3.11"\n# index-url = "{index.url}"\n# ///\n'
    )
    made = (
        ("-r", "tools/requirements.in", "-o", LOCKS[0], "--glibc", "2.17", "--python", "3.11"),
        ("--script", "job.py"),
    )
    for arguments in made:
        ran = minglibc("lock", *arguments)
        assert DONE == ran.code, ran.err
    lock(write_project(tmp_path / "project", index, ["app"]))
    return tmp_path


def explained(*arguments: str) -> Ran:
    """Run a command on a fresh lock, which must succeed."""
    ran = minglibc(*arguments)
    assert DONE == ran.code, ran.err
    assert "stale" not in ran.err
    return ran


@pytest.mark.parametrize("path", LOCKS)
def test_lock_option(path: str) -> None:
    """`check`, `why`, `outdated`, `caps`, `report` and `tree` use the lock of --lock, from any folder."""
    given = ("--lock", path)
    assert "in 2 wheels against glibc 2.17" in explained("check", *given).err
    assert "the project → app → lib" in explained("why", "lib", *given).out.replace(" (1.0)", "")
    assert [("lib", "1.0", "2.0", "2.28")] == [
        (row["name"], row["locked"], row["newest"], row["needs"])
        for row in json.loads(explained("outdated", "--json", *given).out)
        if row["behind"]
    ]
    steps = json.loads(explained("caps", "--json", *given).out)["steps"]
    assert [["1.0"], ["2.0"]] == [step["packages"]["lib"] for step in steps]
    wheels = json.loads(explained("report", "--json", *given).out)["wheels"]
    assert ["app", "lib"] == [wheel["name"] for wheel in wheels]
    assert "app" in explained("tree", *given).out


@pytest.mark.parametrize("path", LOCKS[:2])
def test_stale_lock_is_a_warning(path: str, locks: Path) -> None:
    """A stale lock is explained with a warning that names it."""
    for source in (locks / "tools" / "requirements.in", locks / "job.py"):
        source.write_text(source.read_text().replace("app", "app>=1"))
    ran = minglibc("why", "lib", "--lock", path)
    assert DONE == ran.code
    assert f"warning: {Path(path).name} is stale; this describes the lock as it is" in ran.err
    ran = minglibc("why", "other", "--lock", path)
    assert f"other is not in {Path(path).name}" in ran.err
    assert "in requirements.in requires it" in ran.err or "in job.py requires it" in ran.err


def test_check_uses_the_caps_of_the_lock(locks: Path) -> None:
    """`check --lock` checks wheels with the caps of the lock."""
    wheel = build_wheel("lib", "1.0")
    (locks / wheel.filename).write_bytes(wheel.content)
    assert "against glibc 2.17" in explained("check", wheel.filename, "--lock", LOCKS[0]).err
    assert "there is no pylock.x.toml" in minglibc("check", "--lock", "pylock.x.toml").err
