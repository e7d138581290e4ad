"""Deviations from the wheel specification that pip and uv accept, and that published wheels have."""

import base64
import hashlib
import stat
import subprocess
from pathlib import Path

import pytest

from minglibc.errors import WheelError
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from tests.support.environments import LockedProject, check_whole, installed, site_packages
from tests.support.faults import FAULTS
from tests.support.index import IndexServer
from tests.support.transactions import copied, install, prefix_of
from tests.support.wheels import BuiltWheel, Member, build_wheel, members_of, tamper

PLATFORM = "cp311-cp311-manylinux2014_x86_64"


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("N68", "b-1.0-py3-none-any.whl: its RECORD has no hash of b/unlisted.py"),
        ("N75", "b-1.0-py3-none-any.whl: its WHEEL file has other tags than its file name, which applies"),
        ("N79", "warning: a and b have different files at the same path; those of b are installed"),
    ],
)
def test_deviations_are_accepted(row: str, note: str, tmp_path: Path, index: IndexServer) -> None:
    """N68, N75, N79: the wheel is installed, and -v or a warning names the deviation; the next sync changes nothing."""
    project = LockedProject(tmp_path / "project", index)
    FAULTS[row](index)
    project.lock("a")
    ran = project.sync("-v")
    assert ran.code == 0, ran.err
    assert note in ran.err
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    assert project.sync("--check").code == 0
    assert note not in project.sync("-v").err


def test_files_of_an_installer(environment: Environment, tmp_path: Path) -> None:
    """A wheel that was made from an installed distribution has another installer's files, which are replaced."""
    files = {f"b-1.0.dist-info/{name}": "other\n" for name in ("INSTALLER", "REQUESTED", "minglibc.json")}
    install(environment, tmp_path / "w", build_wheel("b", "1.0", files={"b/__init__.py": "", **files}))
    check_whole(prefix_of(environment))
    (distribution,) = environment.distributions()
    assert distribution.installer == "minglibc"
    assert distribution.digest != "unknown"


@pytest.mark.parametrize(
    ("tag", "lines"),
    [
        (PLATFORM, ["cp311-cp311-linux_x86_64"]),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", ["", "-manylinux_2_17_x86_64"]),
        ("py2.py3-none-manylinux1_x86_64", ["py2-none-any", "py3-none-any"]),
        ("py3-none-any", []),
        ("py3-none-any", ["no tag at all"]),
        ("py3-none-manylinux1_x86_64", ["py3-none-manylinux1_x86_64.manylinux_2_28_x86_64"]),
    ],
)
def test_file_name_decides(tag: str, lines: list[str], environment: Environment, tmp_path: Path) -> None:
    """Tag lines of WHEEL are not compared with the file name: pip and uv read only the file name."""
    install(environment, tmp_path / "w", build_wheel("b", "1.0", tag, wheel_tags=lines))
    check_whole(prefix_of(environment))


def with_record(wheel: BuiltWheel, change: dict[str, str]) -> BuiltWheel:
    """*wheel* with each text in *change* replaced in its RECORD."""
    text = next(member.content for member in members_of(wheel) if member.name.endswith("RECORD")).decode()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    return tamper(wheel, replace={"RECORD": text})


HASH = base64.urlsafe_b64encode(hashlib.sha256(b'__version__ = "1.0"\n').digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "change",
    [
        {"b/__init__.py,": "./b/__init__.py,"},
        {"b/__init__.py,": ".\\b\\__init__.py,"},
        {"b/__init__.py,": "b\\__init__.py,", "b-1.0.dist-info/": "b-1.0.dist-info\\"},
        {"b-1.0.dist-info/RECORD,,\n": "./b-1.0.dist-info/RECORD,,\n"},
        {"b-1.0.dist-info/RECORD,,\n": ""},
        {"b/__init__.py,": "\nb/__init__.py,"},
        {f"b/__init__.py,sha256={HASH},20\n": ""},
        {f"sha256={HASH},20": ","},
        {f"b/__init__.py,sha256={HASH},20\n": 2 * f"b/__init__.py,sha256={HASH},20\n"},
    ],
)
def test_records_of_other_tools(change: dict[str, str], environment: Environment, tmp_path: Path) -> None:
    """Rows of RECORD may have other separators, be repeated or be missing; the installed RECORD is complete."""
    install(environment, tmp_path / "w", with_record(build_wheel("b", "1.0"), change))
    check_whole(prefix_of(environment))
    assert environment.distributions()[0].damage == ""
    install(environment, tmp_path / "w", leaving=["b"])
    assert not (site_packages(prefix_of(environment)) / "b").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"sha256={HASH}": "sha256=" + 43 * "A"}, "hash differs"),
        ({f"b/__init__.py,sha256={HASH},20": f".\\b\\__init__.py,sha256={HASH},21"}, "size differs"),
        ({"b/__init__.py,": "..\\b/__init__.py,"}, "that it does not have"),
        ({"b/__init__.py,": "./b/other.py,"}, "that it does not have"),
        ({f"b/__init__.py,sha256={HASH},20\n": f"b/__init__.py,sha256={HASH},20\n./b/__init__.py,,\n"}, "twice"),
    ],
)
def test_records_that_contradict_the_files(
    change: dict[str, str], message: str, environment: Environment, tmp_path: Path
) -> None:
    """What RECORD says is still compared with the files."""
    with pytest.raises(WheelError, match=message):
        install(environment, tmp_path / "w", with_record(build_wheel("b", "1.0"), change))


def test_unlisted_files_are_owned(environment: Environment, tmp_path: Path) -> None:
    """Files that RECORD does not list are removed with their distribution, and damage to them is detected."""
    wheel = tamper(build_wheel("b", "1.0"), append=[Member("b/data.bin", b"x" * 3_000_000), Member("c.py", b"")])
    install(environment, tmp_path / "w", wheel)
    check_whole(prefix_of(environment))
    site = site_packages(prefix_of(environment))
    (site / "c.py").write_text("changed", encoding="utf-8")
    assert "c.py was changed" in environment.distributions()[0].damage
    install(environment, tmp_path / "w", leaving=["b"])
    assert not (site / "b").exists()
    assert not (site / "c.py").exists()


# ---- scripts


@pytest.mark.parametrize("text", ["#!python\nprint('ok')\n", "#!/bin/sh\necho ok\n", "#!python\r\nprint('ok')\r\n"])
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0])
def test_scripts_are_executable(text: str, mode: int, environment: Environment, tmp_path: Path) -> None:
    """Scripts become executable whatever their mode in the archive is."""
    script = Member("b-1.0.data/scripts/tool", text.encode(), stat.S_IFREG | mode if mode else 0)
    install(environment, tmp_path / "w", tamper(build_wheel("b", "1.0"), append=[script]))
    assert subprocess.check_output([prefix_of(environment) / "bin" / "tool"]) == b"ok\n"


@pytest.mark.parametrize(
    "line",
    ["# -*- coding: latin-1 -*-", "# vim: set fileencoding=latin-1 :", "#coding=iso-8859-1\r", "\t# coding: latin1"],
)
@pytest.mark.parametrize("length", [10, 150])
def test_encoding_lines(line: str, length: int, template: Interpreter, tmp_path: Path) -> None:
    """An encoding line of a script stays in its first two lines, also where a long path needs a shell."""
    folder = tmp_path / "blanks in it" / (length * "x")
    folder.parent.mkdir()
    environment = copied(template, folder if length > 100 else tmp_path / "e")
    text = f"#!python\n{line}\nprint(ascii('\xe4'))\n".encode("latin-1")
    script = Member("b-1.0.data/scripts/tool", text)
    install(environment, tmp_path / "w", tamper(build_wheel("b", "1.0"), append=[script]))
    assert subprocess.check_output([prefix_of(environment) / "bin" / "tool"]) == b"'\\xe4'\n"
