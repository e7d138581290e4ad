"""Copies of one virtual environment, because starting Python three times costs more than most tests."""

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.install import interpreter
from minglibc.install.interpreter import Interpreter
from minglibc.install.layout import HOME

_BASE = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]  # the only name for it
_COPIED_UMASK = 0o022


class EnvironmentCopies:
    """Replaces what `interpreter.create` and `interpreter.inspect` learn from the interpreter that runs the tests.

    An environment of it is created once and copied then, and the base interpreter is inspected once. Other interpreters,
    existing environments, other umasks and shared folders are treated as always.
    """

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template"
        self._run_venv, self._inspect = interpreter.run_venv, interpreter.inspect
        self._known: dict[str, Interpreter] = {}

    def activate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use copies until the end of a test."""
        monkeypatch.setattr(interpreter, "run_venv", self._create)
        monkeypatch.setattr(interpreter, "inspect", self._inspect_once)

    def _inspect_once(self, executable: str, meanwhile: Callable[[], object] = lambda: None) -> Interpreter:
        # In an environment, the same executable has other facts.
        is_base = os.path.dirname(os.path.realpath(executable)) == os.path.realpath(os.path.dirname(executable))
        if os.path.realpath(executable) != _BASE or not is_base or any(name.startswith("LD_") for name in os.environ):
            return self._inspect(executable, meanwhile)
        meanwhile()
        if executable not in self._known:
            self._known[executable] = self._inspect(executable)
        return self._known[executable]

    def _create(self, folder: str, executable: str) -> None:
        umask = os.umask(_COPIED_UMASK)
        os.umask(umask)
        is_usual = umask == _COPIED_UMASK and not os.stat(folder).st_mode & stat.S_ISGID
        if os.path.realpath(executable) != _BASE or set(os.listdir(folder)) > {HOME} or not is_usual:
            self._run_venv(folder, executable)
            return
        if not self._template.exists():
            self._run_venv(str(self._template), executable)
        shutil.copytree(self._template, folder, symlinks=True, dirs_exist_ok=True)
        for path in (Path(folder, "pyvenv.cfg"), *Path(folder, "bin").glob("*ctivate*")):
            path.write_text(path.read_text("utf-8").replace(str(self._template), folder), "utf-8")
