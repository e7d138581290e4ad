"""Finding and reading pyproject.toml and pylock.toml."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.config import files
from minglibc.errors import LockError, SettingsError


def test_find_in_parent_folders(tmp_path: Path) -> None:
    """`find` returns the nearest parent folder with a pyproject.toml."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert str(tmp_path) == files.find(start=str(tmp_path / "a" / "b"))


def test_find_given_folder(tmp_path: Path) -> None:
    """A given folder is used, and never one of its parents."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a").mkdir()
    assert str(tmp_path) == files.find(str(tmp_path))
    for wrong, message in (("a", "has no pyproject.toml"), ("b", "is not a folder")):
        with pytest.raises(SettingsError, match=message):
            files.find(str(tmp_path / wrong))


def test_find_without_project() -> None:
    """Without a pyproject.toml in any parent folder, the hint suggests `minglibc init`."""
    with pytest.raises(SettingsError) as caught:
        files.find(start="/proc/self")
    assert "minglibc init" in caught.value.hint


def test_read_preserves_line_ends_and_bom(tmp_path: Path) -> None:
    """CRLF and a byte order mark are part of the text."""
    (tmp_path / "pyproject.toml").write_bytes("\ufeffa = 'ü'\r\n".encode())
    assert "\ufeffa = 'ü'\r\n" == files.read_pyproject(str(tmp_path))


def test_unreadable_pyproject(tmp_path: Path) -> None:
    """A missing file, a folder, a broken link and invalid UTF-8 have different errors."""
    path = tmp_path / "pyproject.toml"
    with pytest.raises(SettingsError, match=r"there is no pyproject\.toml"):
        files.read_pyproject(str(tmp_path))
    path.symlink_to("nowhere")
    with pytest.raises(SettingsError, match="link to nowhere"):
        files.read_pyproject(str(tmp_path))
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        files.read_pyproject(str(tmp_path))
    path.rmdir()
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(SettingsError, match=r"not UTF-8 text \(line 2, column 6\)"):
        files.read_pyproject(str(tmp_path))


def test_lock_without_read_permission(tmp_path: Path) -> None:
    """A lock without read permission is an error, not a missing lock."""
    path = tmp_path / "pylock.toml"
    path.touch(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(LockError, match="Permission denied"):
            files.read_lock(str(path))
    finally:
        os.seteuid(user)


def test_missing_lock(tmp_path: Path) -> None:
    """A missing lock is None; invalid UTF-8 is an error."""
    path = tmp_path / "pylock.toml"
    assert files.read_lock(str(path)) is None
    path.write_bytes(b"\x80\0")
    with pytest.raises(LockError, match="not UTF-8"):
        files.read_lock(str(path))


def test_imports() -> None:
    """Finding, reading and writing files imports no module that slows down the start."""
    slow = "{'tomllib', 'packaging', 'pathlib', 'dataclasses', 'tempfile', 'socket', 'inspect', 'asyncio'}"
    code = f"import sys; before = set(sys.modules); import minglibc.config.project_files; print(*({slow} & set(sys.modules) - before))"
    assert "" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
