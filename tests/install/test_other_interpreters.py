"""Interpreters in the usual folders outside of PATH."""

from pathlib import Path

import pytest

from minglibc.install import other_interpreters as module
from minglibc.model.targets import PythonVersion


def executable(path: Path) -> str:
    """An executable file."""
    path.parent.mkdir(parents=True)
    path.write_text("")
    path.chmod(0o755)
    return str(path)


def test_usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyenv's and uv's interpreters of the minor version are listed, the newest first."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv [x]"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    old = executable(tmp_path / "pyenv [x]/versions/3.9.2/bin/python3.9")
    new = executable(tmp_path / "pyenv [x]/versions/3.9.18/bin/python3.9")
    executable(tmp_path / "pyenv [x]/versions/3.10.1/bin/python3.10")
    of_uv = executable(tmp_path / "uv/cpython-3.9.25-linux-x86_64-gnu/bin/python3.9")
    listed = list(module.other_interpreters(PythonVersion.parse("3.9")))
    assert [new, old, of_uv] == [path for path in listed if path.startswith(str(tmp_path))]
    free_threaded = list(module.other_interpreters(PythonVersion.parse("3.13t")))
    assert not [path for path in free_threaded if path.startswith(str(tmp_path))]
