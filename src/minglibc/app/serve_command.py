"""The use case of `serve -- COMMAND`: one command of another tool, whose index is a server of this process."""

import hashlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from minglibc.app import lenient_settings
from minglibc.app.lock_request import project_request
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.serve import ServeOptions, checked_factory, require_extra
from minglibc.config import files
from minglibc.config.settings import Overrides
from minglibc.errors import MinglibcError, SettingsError
from minglibc.model.targets import LIBCS, Cap
from minglibc.model.urls import display_url

EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 126, 127
# Below the ports that systems assign.
_FIRST_PORT, _PORTS = 20_000, 12_000
_REMOVED = (
    *("PIP_NO_INDEX", "PIP_PRE_INDEX_URL"),
    *("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE"),
)
# Commands of tools whose lock records the URL of the index, and the options with which they do not write it.
_LOCKING = {
    "uv": (
        "uv.lock",
        {"lock", "sync", "add", "remove", "run", "export", "tree"},
        {"--frozen", "--locked", "--no-sync"},
    ),
    "pixi": ("pixi.lock", {"lock", "install", "add", "remove", "update", "upgrade", "run"}, {"--frozen", "--locked"}),
}


def run_command(
    options: ServeOptions, port: int | None, overrides: Overrides, command: Sequence[str], reporter: Reporter
) -> int:
    """The exit code of *command*, which ran with a capped index; *port* None is the project's own port."""
    require_extra()
    from minglibc.serve import server  # noqa: PLC0415  the libraries are optional dependencies

    cap = cap_of(options.common, overrides)
    with server.listen(options.host, _port_of(options.common) if port is None else port) as listener:
        url = f"{server.origin_of_socket(listener)}/{cap.libc}-{cap}/simple/"
        _report(command, url, options.common, reporter)
        make = checked_factory(options, reporter)
        with server.running(server.config(make, access_log=False), listener), tempfile.TemporaryDirectory() as empty:
            return _run(command, {**_without_indexes(os.environ), **index_variables(url, empty)})


def cap_of(common: CommonOptions, overrides: Overrides) -> Cap:
    """The cap that the options name, else the lowest of the project."""
    named = {"glibc": overrides.glibc, "musl": overrides.musl}
    caps: list[Cap] = [LIBCS[libc].parse(text) for libc in LIBCS if (text := named[libc])]
    if not caps:
        try:
            caps = [target.cap for target in project_request(common, overrides).settings().targets]
        except SettingsError as error:
            error.hint = f"{error.hint}; or name the cap with --glibc or --musl"
            raise
    if len({cap.libc for cap in caps}) > 1:
        raise SettingsError("there are caps for glibc and for musl", hint="select one with --glibc or --musl")
    return min(caps)


def _port_of(common: CommonOptions) -> int:
    """A port that is the same on all machines of a project: uv.lock records it."""
    try:
        folder = files.find(common.project)
        name = lenient_settings.table(files.read_pyproject(folder), "project").get("name")
    except SettingsError:
        folder, name = os.getcwd(), None
    key = name if isinstance(name, str) else os.path.basename(folder)
    digest = hashlib.sha256(key.encode(errors="replace")).digest()
    return _FIRST_PORT + int.from_bytes(digest[:4]) % _PORTS


def index_variables(url: str, empty_folder: str) -> dict[str, str]:
    """The variables with which pip, uv, pdm and pipenv use only the index at *url*."""
    return {
        "PIP_INDEX_URL": url,
        # pip ignores empty variables: the values of its configuration files have to be replaced.
        "PIP_EXTRA_INDEX_URL": url,
        "PIP_FIND_LINKS": empty_folder,
        "UV_DEFAULT_INDEX": url,
        "UV_INDEX_URL": url,
        "PDM_PYPI_URL": url,
        "PDM_IGNORE_STORED_INDEX": "1",
        "PIPENV_PYPI_MIRROR": url,
    }


def _without_indexes(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment* without other indexes, and without a proxy for this machine."""
    kept = {name: value for name, value in environment.items() if name not in _REMOVED}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name, ""), "127.0.0.1", "localhost"]))
    return kept


def _report(command: Sequence[str], url: str, common: CommonOptions, reporter: Reporter) -> None:
    """Say which index the command uses, and what the variables do not reach."""
    tool = os.path.basename(command[0])
    url = display_url(url)
    reporter.info(f"Index for {tool}: {url}", level=1)
    lock, commands, exempt = _LOCKING.get(tool, ("", set(), set()))
    arguments = [argument for argument in command[1:] if not argument.startswith("-")]
    if arguments and arguments[0] in commands and not exempt.intersection(command):
        reporter.warn(
            f"{lock} records {url} as the index; use it with `minglibc serve` at the same port, or run a server for all users"
        )
    if tool == "poetry":
        reporter.warn(f"poetry reads no variable for its index; add this to pyproject.toml:\n{poetry_snippet(url)}")
    if tool == "pixi":
        reporter.warn(f"pixi reads no variable for its index; add this to its manifest:\n{pixi_snippet(url)}")
    if tool == "uv":
        _warn_of_uv_indexes(common, reporter)


def _warn_of_uv_indexes(common: CommonOptions, reporter: Reporter) -> None:
    """Warn of indexes in the configuration of uv, which it uses besides the default one."""
    try:
        path = files.pyproject_path(files.find(common.project))
        project = lenient_settings.table(files.read_file(path), "tool", "uv")
    except SettingsError:
        path, project = "", {}
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    user, system = os.path.join(config, "uv", "uv.toml"), "/etc/uv/uv.toml"
    tables: dict[str, Mapping[str, Any]] = {path: project}
    for name in (user, system):
        tables[name] = lenient_settings.table(files.read_file(name))
    for name, table in tables.items():
        if any(table.get(key) for key in ("index", "extra-index-url", "find-links")):
            reporter.warn(f"{name} names other indexes, which uv uses too; their files are not checked against the cap")


def poetry_snippet(url: str) -> str:
    """The configuration of poetry for the index at *url*."""
    return f'[[tool.poetry.source]]\nname = "capped"\nurl = "{url}"\npriority = "primary"'


def pixi_snippet(url: str) -> str:
    """The configuration of pixi for the index at *url*."""
    return f'[pypi-options]\nindex-url = "{url}"'


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code of *command*, as a shell has it; signals are passed on."""
    try:
        process = subprocess.Popen(command, env=environment)
    except FileNotFoundError as error:
        raise _error(f"command not found: {command[0]}", EXIT_NOT_FOUND) from error
    except OSError as error:
        raise _error(f"can't run {command[0]}: {error.strerror}", EXIT_NOT_EXECUTABLE) from error
    with _passing_signals(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


def _error(message: str, exit_code: int) -> MinglibcError:
    error = MinglibcError(message)
    error.exit_code = exit_code
    return error


@contextmanager
def _passing_signals(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass SIGTERM and SIGHUP on to *process*; a terminal sends SIGINT to it as well."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    handlers = {signal.SIGTERM: pass_on, signal.SIGHUP: pass_on, signal.SIGINT: lambda _number, _frame: None}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
