"""A build backend (PEP 517, 660), called in an environment of its own; what it prints is shown only where it fails."""

import os
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyproject_hooks import BackendInvalid, BackendUnavailable, BuildBackendHookCaller, HookMissing

from minglibc.errors import MinglibcError, SettingsError

_SHOWN_LINES = 20
# PEP 518: what a project without these lines means.
_DEFAULT = {"requires": ["setuptools>=40.8.0"], "build-backend": "setuptools.build_meta:__legacy__"}


class Backend(NamedTuple):
    """What [build-system] says."""

    requires: tuple[str, ...]
    name: str
    path: tuple[str, ...] = ()


def backend_of(pyproject: str) -> Backend | None:
    """The backend that a pyproject.toml names, None where it has no [build-system]; raises SettingsError."""
    table = tomllib.loads(pyproject).get("build-system")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise SettingsError("[build-system] of pyproject.toml is no table")
    requires, path = table.get("requires", []), table.get("backend-path", [])
    name = table.get("build-backend", _DEFAULT["build-backend"])
    lists = isinstance(requires, list) and isinstance(path, list)
    if not lists or not all(isinstance(each, str) for each in (*requires, *path, name)):
        raise SettingsError("[build-system] of pyproject.toml is not what PEP 518 says")
    return Backend(tuple(requires or _DEFAULT["requires"]), str(name), tuple(path))


class Builder:
    """A backend at work on the project in *folder*, run by *python*."""

    def __init__(self, folder: str, backend: Backend, python: str) -> None:
        self._backend = backend
        self._hooks = BuildBackendHookCaller(
            folder, backend.name, list(backend.path) or None, runner=_quietly, python_executable=python
        )

    def editable_requires(self) -> list[str]:
        """What the backend needs beside [build-system]'s own list; raises MinglibcError."""
        return [str(each) for each in self._call("get_requires_for_build_editable")]

    def editable(self, folder: str) -> str:
        """The path of the editable wheel, made in *folder*; raises MinglibcError."""
        return os.path.join(folder, str(self._call("build_editable", folder)))

    def _call(self, hook: str, *arguments: str) -> Any:
        try:
            return getattr(self._hooks, hook)(*arguments)
        except HookMissing as error:
            raise self._failure("can't install editable (PEP 660)") from error
        except (BackendUnavailable, BackendInvalid) as error:
            raise self._failure("can't be imported where [build-system] says") from error
        except subprocess.CalledProcessError as error:
            said = "\n".join(f"  {line}" for line in (error.output or "").strip().splitlines()[-_SHOWN_LINES:])
            raise self._failure(f"failed:\n{said}") from error

    def _failure(self, what: str) -> MinglibcError:
        return MinglibcError(
            f"the project's build backend {self._backend.name} {what}",
            hint="mend the project, or leave it out by --no-install-project",
        )


def _quietly(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(extra_environ or {})}
    # They would lead the backend's interpreter to another one's library.
    for name in ("PYTHONHOME", "PYTHONPATH"):
        environment.pop(name, None)
    environment["PATH"] = os.pathsep.join([os.path.dirname(cmd[0]), os.environ.get("PATH", os.defpath)])
    subprocess.run(
        cmd,
        cwd=cwd,
        env=environment,
        check=True,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
