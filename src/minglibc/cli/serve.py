"""`minglibc serve`: an index server for the files within a cap."""

import argparse
from argparse import Namespace
from collections.abc import Callable

from minglibc.app.serve import DEFAULT_HOST, DEFAULT_PORT, ServeOptions, serve
from minglibc.cli.args import ArgumentParser, add_index, common_options
from minglibc.cli.output import Terminal, plural
from minglibc.config.settings import Overrides
from minglibc.errors import SettingsError

_HIGHEST_PORT = 65_535
_MIB = 1 << 20


def configure(parser: ArgumentParser) -> None:
    """The arguments of `serve`."""
    _add_access(parser)
    _add_limits(parser)
    _add_export(parser)
    add_index(parser)
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND",
        help="run a command of pip, uv or pdm with this index, and stop; with --export: the names of projects",
    )


def _add_access(parser: ArgumentParser) -> None:
    """Where the server listens, what it lists, and for whom."""
    add = parser.add_argument
    add("--host", metavar="ADDRESS", default=DEFAULT_HOST, help=f"the address to listen at (default: {DEFAULT_HOST})")
    port = f"the port to listen at (default: {DEFAULT_PORT}; with a command, one that depends on the project's name)"
    add("--port", metavar="N", type=_number(0, _HIGHEST_PORT), help=port)
    add(
        "--allow",
        action="append",
        choices=["macos", "windows", "sdist"],
        help="also list wheels for this system, or source distributions; can be repeated",
    )
    add("--proxy-files", action="store_true", help="send files through this server and its cache")
    add(
        "--file-host",
        action="append",
        metavar="HOST",
        help="also fetch files from this host; can be repeated (default: the hosts of the indexes, and that of PyPI's files)",
    )
    add("--allowed-host", action="append", metavar="NAME", help="accept this name in the Host header; can be repeated")
    add("--token-file", metavar="FILE", help="require the token in this file as the clients' password")
    add(
        "--allow-private",
        action="store_true",
        help="serve indexes that need credentials to other machines without a token",
    )


def _add_limits(parser: ArgumentParser) -> None:
    """The processes, and how much is cached for how long."""
    add = parser.add_argument
    add(
        "--stale-if-error",
        metavar="SECONDS",
        type=_number(0, 10**8),
        default=0,
        help="serve a page that is older by up to so many seconds if its index can't be reached",
    )
    add("--workers", metavar="N", type=_number(1, 256), default=1, help="the number of processes (default: 1)")
    add(
        "--memory",
        metavar="MIB",
        type=_number(1, 10**6),
        default=256,
        help="the size of each process's page cache (default: 256)",
    )
    add(
        "--file-cache",
        metavar="MIB",
        type=_number(1, 10**9),
        default=20_480,
        help="the size of the wheels in the cache folder; those that were used longest ago are removed (default: 20480)",
    )


def _add_export(parser: ArgumentParser) -> None:
    """What is done instead of serving, and the cap of a command."""
    add = parser.add_argument
    add("--export", metavar="DIR", variable=False, help="write the pages of the named projects to a folder, and stop")
    add("--from", dest="source", metavar="LOCK", variable=False, help="export the releases in this lock of any tool")
    # With a command or --export.
    add("--glibc", metavar="VERSION", variable=False, help="the cap for the command (default: the project's lowest)")
    add("--musl", metavar="VERSION", variable=False, help="the cap for the command, for machines with musl")


def _number(least: int, most: int) -> Callable[[str], int]:
    """A parser of numbers from *least* to *most*."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, not {text!r}")
        return number

    return parse


def run(arguments: Namespace) -> int:
    """Serve until the process is interrupted, or until the command ends; the exit code is the command's."""
    options = ServeOptions(
        common=common_options(arguments),
        host=arguments.host,
        port=DEFAULT_PORT if arguments.port is None else arguments.port,
        admitted=tuple(dict.fromkeys(arguments.allow or ())),
        proxy_files=arguments.proxy_files,
        file_hosts=tuple(arguments.file_host or ()),
        stale_if_error=arguments.stale_if_error,
        allowed_hosts=tuple(arguments.allowed_host or ()),
        token_file=arguments.token_file,
        allow_private=arguments.allow_private,
        workers=arguments.workers,
        memory=arguments.memory * _MIB,
        file_cache=arguments.file_cache * _MIB,
    )
    for option in ("offline", "refresh"):
        if getattr(arguments, option):
            raise SettingsError(
                f"--{option} can't be combined with serve, which requests pages when they expire",
                hint="--stale-if-error serves older pages if an index can't be reached",
            )
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    with Terminal.of(arguments) as terminal:
        if arguments.export is not None:
            return _export(arguments, options, command, terminal)
        if arguments.source is not None:
            raise SettingsError("--from is for --export", hint="name a folder with --export DIR")
        if command:
            return _run_command(arguments, options, command, terminal)
        if arguments.glibc or arguments.musl:
            raise SettingsError(
                "--glibc and --musl are for a command or --export",
                hint="a server has all caps: the path of a page names one",
            )
        serve(options, terminal, access_log=not arguments.quiet)
    return 0


def _run_command(arguments: Namespace, options: ServeOptions, command: list[str], terminal: Terminal) -> int:
    from minglibc.app.serve_command import run_command  # noqa: PLC0415  a server needs no settings of a project

    for name, value in (("--workers", options.workers > 1), ("--token-file", options.token_file is not None)):
        if value:
            raise SettingsError(f"{name} can't be combined with a command")
    return run_command(options, arguments.port, Overrides(arguments.glibc, arguments.musl), command, terminal)


def _export(arguments: Namespace, options: ServeOptions, names: list[str], terminal: Terminal) -> int:
    from minglibc.app.serve_export import export  # noqa: PLC0415  as above

    overrides = Overrides(arguments.glibc, arguments.musl)
    exported = export(options, overrides, arguments.export, names, arguments.source)
    written = f"{plural(exported.projects, 'page')} and {plural(exported.files, 'file')}"
    terminal.info(f"Exported {written} to {arguments.export}")
    return 0
