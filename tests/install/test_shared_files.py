"""Two wheels with different content at one path: the later one in the lock wins, and the other one's file is restored."""

import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from minglibc.errors import WheelError
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.file_conflicts import Overwritten
from minglibc.install.interpreter import Interpreter
from tests.support.commands import Ran
from tests.support.environments import RUNNING, LockedProject, snapshot
from tests.support.index import IndexServer
from tests.support.parameters import one_in
from tests.support.transactions import copied, killed_after, prefix_of, stored
from tests.support.wheels import BuiltWheel, build_wheel

SHARED = "tests/conftest.py"


def wheel(name: str, content: str, version: str = "1.0", **files: str) -> BuiltWheel:
    """A wheel with *content* at SHARED."""
    paths = {f"{name}/{path}.py": text for path, text in files.items()}
    return build_wheel(name, version, files={f"{name}/__init__.py": f"# {name}\n", SHARED: content, **paths})


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project whose index has three packages with other content at the same path."""
    for name in ("one", "three", "two"):
        index.add(wheel(name, f"# of {name}\n"))
    index.add(wheel("same", "# of two\n"))
    return LockedProject(tmp_path / "project", index)


def shared(project: LockedProject) -> str:
    """The installed file that packages share."""
    return (project.site / SHARED).read_text(encoding="utf-8")


def sync(project: LockedProject) -> Ran:
    """A sync that succeeds, after which another one has nothing to do, with and without its proof."""
    ran = project.sync()
    assert ran.code == 0, ran.err
    assert project.sync("--check").code == 0
    (project.venv / ".minglibc" / "proof").unlink()
    second = project.sync()
    assert "Nothing to do" in second.err, second.err
    assert "warning" not in second.err
    return ran


@pytest.mark.parametrize("dependencies", [("one", "two"), ("two", "one"), ("one", "three", "two")])
def test_later_package_wins(project: LockedProject, dependencies: tuple[str, ...]) -> None:
    """One warning for each pair names both packages and the file; the next sync changes nothing."""
    project.lock(*dependencies)
    ran = sync(project)
    assert shared(project) == "# of two\n"
    assert ran.err.count("have different files") == len(dependencies) - 1
    assert f"warning: one and two have different files at the same path; those of two are installed: {SHARED}" in (
        ran.err.replace(f"lib/python{RUNNING}/site-packages/", "")
    )


FIRST = [("one",), ("two",), ("three",), ("one", "two"), ("same",), ("one", "same")]
THEN = [("one", "two"), ("one", "three", "two"), ("two",), ("one",), ("same", "two")]
# Each of both in a default test, all pairs in slow ones.
ORDERS = [
    pytest.param(first, then, marks=() if (i + 2) % 6 == j or (i, j) == (3, 2) else pytest.mark.slow)
    for i, first in enumerate(FIRST)
    for j, then in enumerate(THEN)
]


@pytest.mark.parametrize(("first", "then"), ORDERS)
def test_any_order_of_syncs(project: LockedProject, first: tuple[str, ...], then: tuple[str, ...]) -> None:
    """The result depends only on what is installed, and removing a package restores the file of another one."""
    for dependencies in (first, then, first):
        project.lock(*dependencies)
        sync(project)
        last = max(dependencies)
        assert shared(project) == f"# of {'two' if last == 'same' else last}\n"


@pytest.mark.slow
def test_upgrades(project: LockedProject, index: IndexServer) -> None:
    """Either package may be upgraded, also to a release that no longer has the file."""
    project.lock("one", "two")
    sync(project)
    index.add(wheel("one", "# of one, new, longer\n", "2.0"))
    project.lock("one", "two")
    sync(project)
    assert shared(project) == "# of two\n"
    index.add(wheel("two", "# of two, new\n", "2.0"))
    project.lock("one", "two")
    sync(project)
    assert shared(project) == "# of two, new\n"
    index.add(build_wheel("two", "3.0"))
    project.lock("one", "two")
    ran = sync(project)
    assert shared(project) == "# of one, new, longer\n"
    assert "was overwritten by two" in ran.err
    index.add(build_wheel("one", "3.0"))
    index.add(wheel("two", "# of two, again\n", "4.0"))
    project.lock("one", "two")
    sync(project)
    assert shared(project) == "# of two, again\n"


def test_same_content_is_silent(project: LockedProject) -> None:
    """Files with the same content are not mentioned."""
    project.lock("same", "two")
    assert "different files" not in sync(project).err


def test_damage_of_either_is_repaired(project: LockedProject) -> None:
    """A missing or changed shared file is installed again."""
    project.lock("one", "two")
    sync(project)
    for text in ("changed to another size\n", None):
        (project.site / SHARED).unlink()
        if text:
            (project.site / SHARED).write_text(text, encoding="utf-8")
        assert project.sync("--check").code == 1
        sync(project)
        assert shared(project) == "# of two\n"


def test_error_setting(project: LockedProject) -> None:
    """With file-conflicts = "error" nothing is installed; the setting leaves the lock fresh."""
    project.lock("one", "two")
    before = (project.folder / "pylock.toml").read_bytes()
    project.write(("one", "two"), more='file-conflicts = "error"\n')
    assert project.command("lock", "--check").code == 0
    ran = project.sync()
    assert ran.code == 1
    assert f"would overwrite lib/python{RUNNING}/site-packages/{SHARED}, which belongs to one" in ran.err
    assert 'excludes = ["one"]' in ran.err
    assert before == (project.folder / "pylock.toml").read_bytes()
    assert not list(project.site.glob("*.dist-info"))
    project.write(("one", "two"), more='file-conflicts = "refuse"\n')
    for command in (["lock", "--upgrade"], ["sync"]):
        ran = project.command(*command)
        assert ran.code == 2
        assert "file-conflicts" in ran.err
        assert '"warn"' in ran.err


@pytest.mark.parametrize(
    "files",
    [
        {"shared.pth": "import {name}\n"},
        {"{name}-1.0.data/purelib/shared.pth": "import {name}\n"},
        {"{name}-1.0.data/scripts/tool": "#!python\n# {name}\n"},
        {"{name}-1.0.data/data/bin/tool": "# {name}\n"},
        {"tool": ""},
    ],
)
def test_some_files_are_never_shared(files: Mapping[str, str], index: IndexServer, tmp_path: Path) -> None:
    """Path files, scripts, and a file where the other has a folder are refused."""
    project = LockedProject(tmp_path / "project", index)
    for name in ("one", "two"):
        paths = {path.format(name=name): text.format(name=name) for path, text in files.items()}
        if "tool" in paths:
            paths = {"tool": ""} if name == "one" else {"tool/x.py": ""}
        index.add(build_wheel(name, "1.0", files={f"{name}.py": "", **paths}))
    project.lock("one", "two")
    ran = project.sync()
    assert ran.code == 1
    assert "would overwrite" in ran.err
    assert not list(project.site.glob("*.dist-info"))


def test_unlocked_packages_are_not_overwritten(project: LockedProject) -> None:
    """A package that --inexact keeps could not be restored, so its files are not overwritten."""
    project.lock("one")
    sync(project)
    project.lock("two")
    before = snapshot(project.site)
    ran = project.sync("--inexact")
    assert ran.code == 1
    assert "which belongs to one" in ran.err
    assert before == snapshot(project.site)
    assert project.sync().code == 0


# ---- transactions


def change(environment: Environment, folder: Path, *wheels: BuiltWheel, leaving: tuple[str, ...] = ()) -> None:
    """Install *wheels*, all of which may share files with all others."""
    with transaction.locked(environment.prefix):
        transaction.recover(environment)
        present = environment.distributions()
        names = {one.project for one in wheels} | set(leaving)
        staying = [one for one in present if one.name not in names]
        replaced = [one for one in present if one.name in names]
        sharing = {one.project for one in wheels} | {one.name for one in present}
        with transaction.begin(environment) as prepared:
            prepared.prepare([stored(folder, one) for one in wheels], staying, replaced, sharing)
            prepared.apply(replaced, staying)


@pytest.mark.slow
def test_random_changes(template: Interpreter, tmp_path: Path) -> None:
    """After any installations, the environment has the files of the package that is last by name."""
    random.seed(7)
    for run in range(8):
        environment = copied(template, tmp_path / f"e{run}")
        versions: dict[str, str] = {}
        for step in range(6):
            chosen = random.sample("abcd", random.randint(1, 3))
            versions.update(dict.fromkeys(chosen, random.choice("xyz")))
            wheels = [wheel(name, f"# {versions[name]}{step if name == 'd' else ''}\n") for name in chosen]
            change(environment, tmp_path / f"w{run}-{step}", *wheels)
            path = prefix_of(environment) / environment.layout.purelib / SHARED
            assert path.read_text(encoding="utf-8").startswith(f"# {versions[max(versions)]}")
            assert [one.damage for one in environment.distributions() if one.damage] == []


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("before", "then"),
    one_in(3, [("ab", "b"), ("a", "b"), ("b", "a"), ("", "ab"), ("ab", "ab"), ("ab", "a"), ("abc", "b")]),
)
def test_kill_at_any_step(before: str, then: str, stride: int, template: Interpreter, tmp_path: Path) -> None:
    """After a kill and a recovery, a distribution whose file another one overwrote is known to be damaged."""
    old = [wheel(name, f"# {name}1\n") for name in before]
    new = [wheel(name, f"# {name}2\n", "2.0", added="") for name in then]
    start = copied(template, tmp_path / "start")
    change(start, tmp_path / "w1", *old)
    steps, died = 0, True
    while died:
        environment = copied(start.interpreter, tmp_path / str(steps))
        since = prefix_of(environment) / ".minglibc" / "apply"
        died = killed_after(steps, lambda: change(environment, tmp_path / "w2", *new), since=since)  # noqa: B023  at once
        steps += stride
        with transaction.locked(environment.prefix):
            transaction.recover(environment)
        path = prefix_of(environment) / environment.layout.purelib / SHARED
        present = environment.distributions()
        complete = [one for one in present if not one.damage]
        if present and len(complete) == len(present):
            last = max(present, key=lambda one: one.name)
            assert path.read_text(encoding="utf-8") == f"# {last.name}{last.version[0]}\n"
        assert path.exists() or not any(one.name == max(before, default="") for one in complete)
        damaged = [wheel(one.name, f"# {one.name}{one.version[0]}\n", one.version) for one in present if one.damage]
        change(environment, tmp_path / "w3", *damaged)
        change(environment, tmp_path / "w2", *new)
        assert [one.damage for one in environment.distributions() if one.damage] == []
        last_name = max({*before, *then})
        assert path.read_text(encoding="utf-8") == f"# {last_name}{2 if last_name in then else 1}\n"


def test_report_of_paths(environment: Environment, tmp_path: Path) -> None:
    """The conflicts are reported once for each pair, with all paths."""
    one = build_wheel("one", "1", files={"x/a.py": "1\n", "x/b.py": "1\n", "x/c.py": "same\n"})
    two = build_wheel("two", "1", files={"x/a.py": "2\n", "x/b.py": "2\n", "x/c.py": "same\n"})
    with transaction.locked(environment.prefix), transaction.begin(environment) as prepared:
        prepared.prepare([stored(tmp_path / "w", both) for both in (two, one)], [], [], {"one", "two"})
        site = environment.layout.purelib
        assert prepared.overwritten == [Overwritten("two", "one", (f"{site}/x/a.py", f"{site}/x/b.py"))]
    with (
        transaction.locked(environment.prefix),
        pytest.raises(WheelError),
        transaction.begin(environment) as prepared,
    ):
        prepared.prepare([stored(tmp_path / "w", both) for both in (two, one)], [], [], {"one"})
    assert not os.path.lexists(prefix_of(environment) / site / "x")
