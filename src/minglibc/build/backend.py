"""Build backends (PEP 517, 660), called with the ``build`` package; their output is shown only in errors."""

import os
import select
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Literal, Self

from minglibc.build.isolation import Isolation
from minglibc.build.missing_requirements import missing
from minglibc.build.running import started
from minglibc.build.sdist import MAX_METADATA
from minglibc.config.files import open_regular
from minglibc.errors import MinglibcError, SettingsError
from minglibc.model import toml
from minglibc.model.artifacts import printable
from minglibc.model.limits import is_filename

if TYPE_CHECKING:
    import build

BuildKind = Literal["wheel", "editable"]

# Large extensions take up to an hour on a small machine; a backend that waits for input never ends.
TIMEOUT = 3600.0
_SHOWN_LINES = 20
_LONGEST_LINE = 240
_MOST_OUTPUT = 64 * 1024
_CHUNK = 64 * 1024
_LONGEST_LOG = 64 << 20
_LARGEST_RESULT = 4 << 20
_CUT = b"\nminglibc: the rest of the output was dropped\n"
# In the name of a wheel: without and with a build tag (PEP 427).
_DASHES = (4, 5)


class BuildError(MinglibcError):
    """The backend failed; the message includes the end of its output."""


def build_hint(alternative: str) -> str:
    """The hint for a failed build without a known cause; *alternative* is what to do if the fault is in the package."""
    return f"install what the build needs on this machine, or {alternative}"


def has_backend(pyproject: str) -> bool:
    """Whether a pyproject.toml has a [build-system], so that its project is a package."""
    return "build-system" in toml.loads(pyproject)


class Backend:
    """The build backend of the project in *folder*, run by the interpreter *python*; errors contain *label* and a hint, such as *alternative*.

    The output of its processes is added to the file *log*. With *isolation*, they see only what that allows.
    """

    def __init__(
        self,
        folder: str,
        python: str,
        *,
        label: str,
        alternative: str,
        log: str = "",
        isolation: Isolation | None = None,
    ) -> None:
        self._label = label
        self._alternative = alternative
        self._hint = build_hint(alternative)
        self._log = log
        self._isolation = isolation
        self._timeout = _timeout()
        with self._errors():
            # 50 ms, and cached builds need no backend.
            from build import ProjectBuilder  # noqa: PLC0415

            _ignore_warnings()
            self._builder: build.ProjectBuilder = ProjectBuilder(folder, python_executable=python, runner=self._run)

    @property
    def requires(self) -> list[str]:
        """The requirements in [build-system], or the default ones (PEP 518)."""
        return sorted(self._builder.build_system_requires)

    def requires_for(self, kind: BuildKind) -> list[str]:
        """The requirements that the backend adds for a build; raises BuildError."""
        with self._errors():
            return sorted(map(str, self._builder.get_requires_for_build(kind)))

    def build(self, kind: BuildKind, folder: str) -> str:
        """The path of the wheel, built in *folder*; raises BuildError."""
        with self._errors():
            path = self._builder.build(kind, folder)
        filename = os.path.basename(path)
        # A link would lead out of the folder, and the file may change after it was checked.
        is_inside = os.path.dirname(path) == os.path.abspath(folder) and not os.path.islink(folder)
        if not is_inside or not _is_wheel_name(filename) or os.path.islink(path) or not os.path.isfile(path):
            raise self._failure(f"did not build a wheel but {printable(filename)!r}")
        return path

    def metadata(self, folder: str) -> str:
        """The METADATA of the project, for which the backend may build a wheel in *folder*; raises BuildError."""
        with self._errors():
            path = os.path.join(self._builder.metadata_path(folder), "METADATA")
        try:
            with open(path, encoding="utf-8", errors="replace", opener=open_regular) as file:
                return file.read(MAX_METADATA)
        except OSError as error:
            raise self._failure("did not write METADATA") from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from pyproject_hooks import BackendInvalid, BackendUnavailable, HookMissing  # noqa: PLC0415  as above

        from build import BuildBackendException, BuildException  # noqa: PLC0415  as above

        try:
            yield
        except BuildBackendException as error:
            match error.exception:
                case MinglibcError() as own:
                    raise own from error
                case HookMissing():
                    raise self._failure("does not support editable installs (PEP 660)") from error
                case BackendUnavailable() | BackendInvalid():
                    raise self._failure("can't be imported from the path in [build-system]") from error
                case subprocess.CalledProcessError() as failed:
                    raise self._process_failure(failed) from error
                case other:
                    raise self._failure(f"failed: {printable(str(other))}") from error
        except BuildException as error:
            raise BuildError(f"failed to build {self._label}: {printable(str(error))}", hint=self._hint) from error
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError, FileNotFoundError) as error:
            # The hook's result is what the backend's process wrote to a file, if it did.
            raise self._failure("returned no valid result") from error

    def _failure(self, problem: str, advice: str = "") -> BuildError:
        return BuildError(f"the build backend of {self._label} {problem}", hint=advice or self._hint)

    def _process_failure(self, failed: subprocess.CalledProcessError) -> BuildError:
        is_capped = self._isolation is not None
        problem = f"was killed by {_signal(-failed.returncode)}" if failed.returncode < 0 else "failed"
        is_killed = failed.returncode == -signal.SIGKILL
        advice = missing(failed.output or "", alternative=self._alternative, capped=is_capped, killed=is_killed)
        return self._failure(f"{problem}{self._output(failed.output)}", advice)

    def _output(self, output: str) -> str:
        """The last lines of *output*, and where the complete output is."""
        log = f"\n  the complete output is in {self._log}" if self._log else ""
        return f":\n{_last_lines(output)}{log}"

    def _run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        isolation = self._isolation
        variables = os.environ if isolation is None else isolation.environment
        prefix = () if isolation is None else isolation.prefix
        with (
            _Log(self._log) as log,
            started(
                [*prefix, *cmd],
                cwd=cwd,
                env=_environment(variables, cmd[0], extra_environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            output, is_finished = _output(process, self._timeout, log)
        if not is_finished:
            problem = f"did not finish within {self._timeout:g} s (MINGLIBC_BUILD_TIMEOUT){self._output(output)}"
            raise self._failure(problem, f"set MINGLIBC_BUILD_TIMEOUT to more seconds, or {self._alternative}")
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, cmd, output)
        # pyproject_hooks reads what the hook has written to this file of its folder, the last argument.
        with suppress(OSError):
            if os.path.getsize(os.path.join(cmd[-1], "output.json")) > _LARGEST_RESULT:
                raise self._failure("returned no valid result")


def _ignore_warnings() -> None:
    """Do not repeat the warnings of backends; for the whole process, because threads share its filters."""
    import pyproject_hooks  # noqa: PLC0415  as above

    import build  # noqa: PLC0415  as above

    for module, name in ((pyproject_hooks, "BuildBackendWarning"), (build, "TypoWarning")):
        if category := getattr(module, name, None):
            warnings.filterwarnings("ignore", category=category)


class _Log:
    """A log file with limited size; what can't be written, as on a full disk, is dropped."""

    def __init__(self, path: str) -> None:
        self._file: IO[bytes] | None = None
        if path:
            with suppress(OSError):
                self._file = open(path, "ab", buffering=0, opener=open_regular)  # noqa: SIM115  closed below

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, chunk: bytes) -> None:
        """Add *chunk*, unless the log is too long."""
        if self._file is None:
            return
        with suppress(OSError):
            room = _LONGEST_LOG - self._file.tell()
            if room > 0:
                self._file.write(chunk if len(chunk) <= room else chunk[:room] + _CUT)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _output(process: "subprocess.Popen[bytes]", timeout: float, log: _Log) -> tuple[str, bool]:
    """The end of the output of *process*, and whether it ended within *timeout* seconds. *log* gets all of the output."""
    assert process.stdout is not None
    end = time.monotonic() + timeout
    output = b""
    while True:
        # A child of the backend may keep the pipe open after the backend has ended.
        ready, _, _ = select.select([process.stdout], [], [], 0.1 if process.poll() is None else 0)
        chunk = os.read(process.stdout.fileno(), _CHUNK) if ready else b""
        output = (output + chunk)[-_MOST_OUTPUT:]
        log.write(chunk)
        if not chunk and process.poll() is not None:
            return output.decode("utf-8", "replace"), True
        if ready and not chunk:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
        if time.monotonic() > end:
            return output.decode("utf-8", "replace"), False


def _is_wheel_name(filename: str) -> bool:
    return filename.endswith(".whl") and is_filename(filename) and filename.count("-") in _DASHES


def _last_lines(output: str | None) -> str:
    lines = (output or "").strip().splitlines()[-_SHOWN_LINES:]
    return "\n".join(f"  {_shortened(printable(line.expandtabs()))}" for line in lines) or "  (no output)"


def _shortened(line: str) -> str:
    """The start and end of a long *line*, such as the command of a linker with all of its files."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"


def _environment(variables: Mapping[str, str], python: str, extra: Mapping[str, str]) -> dict[str, str]:
    environment = {**variables, **extra}
    if variables is os.environ:
        # They would make the backend's interpreter import from another one's library.
        for name in ("PYTHONHOME", "PYTHONPATH"):
            environment.pop(name, None)
    environment["PATH"] = os.pathsep.join([os.path.dirname(python), variables.get("PATH", os.defpath)])
    return environment


def _timeout() -> float:
    text = os.environ.get("MINGLIBC_BUILD_TIMEOUT")
    try:
        seconds = float(text) if text else TIMEOUT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1_000_000:
        raise SettingsError(f"MINGLIBC_BUILD_TIMEOUT is {text!r}", hint="set it to a number of seconds")
    return seconds
