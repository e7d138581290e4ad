"""Interpreters outside of PATH, where pyenv, uv, conda, asdf and manylinux images install them."""

import glob
import os
from collections.abc import Iterator

from minglibc.model.targets import PythonVersion

# The folders of a minor version such as 3.9; the first value is the variable that names another root.
_FOLDERS = (
    ("PYENV_ROOT", "~/.pyenv", "versions/{short}.*/bin"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", "cpython-{short}.*/bin"),
    ("ASDF_DATA_DIR", "~/.asdf", "installs/python/{short}.*/bin"),
    ("", "/opt/python", "cp3{minor}-cp3{minor}*/bin"),
    ("", "/opt/python", "{short}*/bin"),
    ("", "/usr/local/bin", ""),
    ("", "/usr/bin", ""),
)


def other_interpreters(python: PythonVersion) -> Iterator[str]:
    """Executables of *python*'s minor version in the usual folders; the newest of each folder first."""
    name = f"python{python.short}{'t' if python.free_threaded else ''}"
    for variable, default, pattern in _FOLDERS:
        root = os.path.expanduser(os.environ.get(variable) or default)
        folders = pattern.format(short=python.short, minor=python.minor)
        paths = glob.glob(os.path.join(glob.escape(root), folders, name))
        yield from sorted((path for path in paths if os.access(path, os.X_OK)), key=_version, reverse=True)


def _version(path: str) -> list[int]:
    """The numbers in *path*, in which 3.9.18 is newer than 3.9.2."""
    digits = "".join(char if char.isdigit() else " " for char in path)
    return [int(number) for number in digits.split()]
