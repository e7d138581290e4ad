"""Environments that were moved or copied: recognised by their activation files, and repaired."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.install.layout import Layout
from minglibc.install.relocation import former_prefix, names_former, repair
from tests.support.commands import minglibc
from tests.support.explained import Project
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

SITE = "lib/python3.9/site-packages"


def layout(prefix: Path) -> Layout:
    """The layout of an environment at *prefix*."""
    return Layout(str(prefix), SITE, SITE, "bin", "", "include", f"{prefix}/bin/python")


@pytest.mark.parametrize(
    ("activate", "former"),
    [
        ('VIRTUAL_ENV="/old/.venv"\nexport VIRTUAL_ENV\n', "/old/.venv"),
        ("    export VIRTUAL_ENV=/old/.venv\n", "/old/.venv"),
        ("VIRTUAL_ENV='/old place/.venv'\n", "/old place/.venv"),
        ("VIRTUAL_ENV={prefix}\n", ""),
        ("VIRTUAL_ENV='{link}'\n", ""),
        ('VIRTUAL_ENV="$(dirname "$0")"\n', ""),
        ("VIRTUAL_ENV='unfinished\n", ""),
        ("", ""),
    ],
)
def test_activation_files_name_the_folder(tmp_path: Path, activate: str, former: str) -> None:
    """The activate scripts of venv, virtualenv and uv are understood, also through links."""
    prefix, link = tmp_path / "env", tmp_path / "link"
    (prefix / "bin").mkdir(parents=True)
    link.symlink_to(prefix)
    (prefix / "bin/activate").write_text(activate.format(prefix=prefix, link=link), encoding="utf-8")
    assert former == former_prefix(layout(prefix))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/old/.venv/bin/python\n", True),
        ("#!/old/.venv/bin/python3.9\n", True),
        ("#!/bin/sh\n'''exec' '/old/.venv/bin/python' \"$0\" \"$@\"\n' '''\n", True),
        ("#!/old/.venv2/bin/python\n", False),
        ("#!/usr/bin/env python\n# 2\n# 3\n# /old/.venv/bin/python\n", False),
        ("/old/.venv/bin/python\n", False),
    ],
)
def test_scripts_name_the_interpreter(tmp_path: Path, script: str, *, expected: bool) -> None:
    """The interpreter of a script is in its first lines."""
    (tmp_path / "script").write_text(script, encoding="utf-8")
    assert expected == names_former(str(tmp_path / "script"), "/old/.venv")


def test_paths_with_blanks_are_quoted(tmp_path: Path) -> None:
    """A value that needed no quotes gets them; longer names that begin alike are kept."""
    prefix = tmp_path / "new place"
    (prefix / "bin").mkdir(parents=True)
    text = "# /old/.venv2 and /old/.venv-3\nexport VIRTUAL_ENV=/old/.venv\n"
    (prefix / "bin/activate").write_text(text, encoding="utf-8")
    (prefix / "pyvenv.cfg").write_text("command = /usr/bin/python3 -m venv /old/.venv\n", encoding="utf-8")
    assert "/old/.venv" == former_prefix(layout(prefix))
    repair(layout(prefix), "/old/.venv", [])
    repaired = (prefix / "bin/activate").read_text(encoding="utf-8")
    assert f"# /old/.venv2 and /old/.venv-3\nexport VIRTUAL_ENV='{prefix}'\n" == repaired
    assert f"command = /usr/bin/python3 -m venv {prefix}\n" == (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    assert "" == former_prefix(layout(prefix))


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project with a package that has a script, synced."""
    files = {
        "foo.py": b"import sys\ndef main(): print(sys.prefix)\n",
        "foo-1.0.dist-info/entry_points.txt": b"[console_scripts]\nfoo = foo:main\n",
    }
    index.add(build_wheel("foo", "1.0", files=files))
    (tmp_path / "a").mkdir()
    project = Project(tmp_path / "a", index)
    project.write("foo", glibc="2.17", python=[f"3.{sys.version_info.minor}"]).lock()
    assert 0 == minglibc("sync", "--project", str(project.folder)).code
    return project


def test_copied_environments_are_repaired(tmp_path: Path, project: Project) -> None:
    """`sync --check` fails, `sync` writes the scripts again, and a script runs in the environment at hand."""
    copy = tmp_path / "b"
    shutil.copytree(project.folder, copy, symlinks=True)
    ran = minglibc("sync", "--check", "--project", str(copy))
    assert 1 == ran.code
    former = f"{project.folder}/.venv"
    assert f"Would update the paths of the environment, which was moved or copied from {former}\n" in ran.err
    assert f"~ foo==1.0 (its script bin/foo names the environment at {former})" in ran.out
    assert 0 == minglibc("sync", "--project", str(copy)).code
    started = subprocess.run([copy / ".venv/bin/foo"], capture_output=True, text=True, check=True)
    assert f"{copy}/.venv\n" == started.stdout
    assert 0 == minglibc("sync", "--check", "--project", str(copy)).code
    assert former not in (copy / ".venv/bin/activate").read_text(encoding="utf-8")
    assert 0 == minglibc("sync", "--check", "--project", str(project.folder)).code


def test_scripts_of_other_packages_are_repaired(tmp_path: Path, project: Project) -> None:
    """A script of a package that is not in the lock, such as pip, is changed, and its RECORD with it."""
    site = next((project.folder / ".venv/lib").glob("python3.*/site-packages"))
    old = f"#!{project.folder}/.venv/bin/python3\nprint()\n"
    (project.folder / ".venv/bin/pip").write_text(old, encoding="utf-8")
    (site / "pip-9.0.dist-info").mkdir()
    (site / "pip-9.0.dist-info/METADATA").write_text("Name: pip\nVersion: 9.0\n\n", encoding="utf-8")
    record = f"../../../bin/pip,sha256=x,{len(old)}\npip-9.0.dist-info/METADATA,,\npip-9.0.dist-info/RECORD,,\n"
    (site / "pip-9.0.dist-info/RECORD").write_text(record, encoding="utf-8")
    project.folder.rename(tmp_path / "moved")
    ran = minglibc("sync", "--project", str(tmp_path / "moved"))
    assert 0 == ran.code
    script = (tmp_path / "moved/.venv/bin/pip").read_text(encoding="utf-8")
    assert f"#!{tmp_path}/moved/.venv/bin/python3\nprint()\n" == script
    site = next((tmp_path / "moved/.venv/lib").glob("python3.*/site-packages"))
    rows = list(csv.reader((site / "pip-9.0.dist-info/RECORD").read_text(encoding="utf-8").splitlines()))
    assert str(len(script)) == rows[0][2]
    assert 0 == minglibc("sync", "--check", "--project", str(tmp_path / "moved")).code


def test_links_to_environments(tmp_path: Path, project: Project) -> None:
    """``.venv`` may be a link to an environment, to an empty folder, or to a missing one."""
    link = project.folder / ".venv"
    (tmp_path / "envs").mkdir()
    link.rename(tmp_path / "envs/one")
    for name in ("one", "two", "three"):
        if name == "two":
            (tmp_path / "envs/two").mkdir()
        link.unlink(missing_ok=True)
        link.symlink_to(f"../envs/{name}")
        assert 0 == minglibc("sync", "--project", str(project.folder)).code
        assert link.is_symlink()
        assert (tmp_path / "envs" / name / "bin/foo").exists()
        assert 0 == minglibc("sync", "--check", "--project", str(project.folder)).code
