"""A build backend (PEP 517, 660), called by ``build`` in an environment of its own; what it prints is shown only where it fails."""

import os
import select
import signal
import subprocess
import time
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from minglibc.errors import MinglibcError, SettingsError
from minglibc.model.artifacts import printable

if TYPE_CHECKING:
    import build

Kind = Literal["wheel", "editable"]

# Large extensions take an hour on a small machine; what waits for an answer takes for ever.
SECONDS = 3600.0
_SHOWN_LINES = 20
_KEPT = 64 * 1024
_CHUNK = 64 * 1024


class BuildError(MinglibcError):
    """A backend that did not make what it was asked for; the message has the end of what it said."""


def has_backend(pyproject: str) -> bool:
    """Whether a pyproject.toml has a [build-system], so that its project is a package."""
    return "build-system" in tomllib.loads(pyproject)


class Builder:
    """The backend of the project in *folder*, run by *python*; *what* and *hint* are for its errors."""

    def __init__(self, folder: str, python: str, *, what: str, hint: str) -> None:
        self._what = what
        self._hint = hint
        self._seconds = _seconds()
        with self._errors():
            # Half a second of imports, which only those pay who build.
            from build import ProjectBuilder  # noqa: PLC0415

            self._builder: build.ProjectBuilder = ProjectBuilder(folder, python_executable=python, runner=self._run)

    @property
    def requires(self) -> list[str]:
        """What [build-system] asks for, or its default (PEP 518)."""
        return sorted(self._builder.build_system_requires)

    def requires_for(self, kind: Kind) -> list[str]:
        """What the backend needs beside [build-system]'s own list; raises BuildError."""
        with self._errors():
            return sorted(map(str, self._builder.get_requires_for_build(kind)))

    def build(self, kind: Kind, folder: str) -> str:
        """The path of the wheel, made in *folder*; raises BuildError."""
        with self._errors():
            path = self._builder.build(kind, folder)
        if os.path.dirname(path) != os.path.abspath(folder) or not path.endswith(".whl") or not os.path.isfile(path):
            raise self._failure(f"did not make a wheel but {printable(os.path.basename(path))!r}")
        return path

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from pyproject_hooks import BackendInvalid, BackendUnavailable, HookMissing  # noqa: PLC0415  as above

        from build import BuildBackendException, BuildException  # noqa: PLC0415  as above

        try:
            # What it says of old settings is the maintainers' to read; build repeats it as warnings of this process.
            with warnings.catch_warnings(action="ignore"):
                yield
        except BuildBackendException as error:
            match error.exception:
                case MinglibcError() as ours:
                    raise ours from error
                case HookMissing():
                    raise self._failure("can't install editable (PEP 660)") from error
                case BackendUnavailable() | BackendInvalid():
                    raise self._failure("can't be imported where [build-system] says") from error
                case subprocess.CalledProcessError() as failed:
                    raise self._failure(f"failed:\n{_shown(failed.output)}") from error
                case other:
                    raise self._failure(f"failed: {printable(str(other))}") from error
        except BuildException as error:
            raise BuildError(f"{self._what} can't be built: {printable(str(error))}", hint=self._hint) from error

    def _failure(self, what: str) -> BuildError:
        return BuildError(f"the build backend of {self._what} {what}", hint=self._hint)

    def _run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        # A session of its own: whatever the backend has started ends with it.
        with subprocess.Popen(
            cmd,
            cwd=cwd,
            env=_environment(cmd[0], extra_environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                said = _listen(process, self._seconds)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if said is None:
            raise self._failure(f"was not done after {self._seconds:g} s (MINGLIBC_BUILD_TIMEOUT)")
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, cmd, said)


def _listen(process: "subprocess.Popen[bytes]", seconds: float) -> str | None:
    """The end of what *process* says until it ends; None where that takes too long."""
    assert process.stdout is not None
    end = time.monotonic() + seconds
    kept = b""
    while True:
        # A child that outlives the backend may hold the pipe open: the backend's own end counts.
        ready, _, _ = select.select([process.stdout], [], [], 0.1 if process.poll() is None else 0)
        chunk = os.read(process.stdout.fileno(), _CHUNK) if ready else b""
        kept = (kept + chunk)[-_KEPT:]
        if not chunk and process.poll() is not None:
            return kept.decode("utf-8", "replace")
        if ready and not chunk:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
        if time.monotonic() > end:
            return None


def _shown(said: str | None) -> str:
    lines = (said or "").strip().splitlines()[-_SHOWN_LINES:]
    return "\n".join(f"  {printable(line.expandtabs())}" for line in lines) or "  it said nothing"


def _environment(python: str, extra: Mapping[str, str]) -> dict[str, str]:
    environment = {**os.environ, **extra}
    # They would lead the backend's interpreter to another one's library.
    for name in ("PYTHONHOME", "PYTHONPATH"):
        environment.pop(name, None)
    environment["PATH"] = os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", os.defpath)])
    return environment


def _seconds() -> float:
    text = os.environ.get("MINGLIBC_BUILD_TIMEOUT")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1_000_000:
        raise SettingsError(f"MINGLIBC_BUILD_TIMEOUT is {text!r}", hint="a number of seconds is due")
    return seconds
