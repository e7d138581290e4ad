"""What all commands' arguments have in common: MINGLIBC_* defaults, --project and its like, signals."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NoReturn

from minglibc.adapters import project
from minglibc.adapters.store import default_folder
from minglibc.cli import color
from minglibc.errors import EXIT_USAGE

_FALSE = frozenset(("", "0", "false", "no", "off"))
EXIT_TERMINATED = 143


class _Formatter(argparse.HelpFormatter):
    """argparse's, which makes one for each option that it is given, and would import shutil for the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    with suppress(OSError, ValueError):
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns) or 80
    return 80


class Parser(argparse.ArgumentParser):
    """An ArgumentParser in which MINGLIBC_OPTION in the environment stands for ``--option``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, **settings)
        self._from_environment: dict[str, Any] = {}

    def add_argument(self, *flags: str, **settings: Any) -> argparse.Action:
        """As argparse's, with the environment's value where the command line has none."""
        long = next((flag for flag in flags if flag.startswith("--")), None)
        if long is None or settings.get("action") in {"help", "version"}:
            return super().add_argument(*flags, **settings)
        variable = f"MINGLIBC_{long[2:].upper().replace('-', '_')}"
        if settings.get("help") not in {None, argparse.SUPPRESS}:
            settings["help"] += f" [{variable}]"
        action = super().add_argument(*flags, **settings)
        if variable in os.environ:
            self._from_environment[action.dest] = self._read(variable, settings)
        return action

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which would add a list's values to its default's."""
        found = super().parse_args(arguments, namespace)
        for name, value in self._from_environment.items():
            if getattr(found, name) == self.get_default(name):
                setattr(found, name, value)
        return found

    def _read(self, variable: str, settings: dict[str, Any]) -> Any:
        value, action = os.environ[variable], settings.get("action")
        if action == "store_true":
            return value.lower() not in _FALSE
        if action == "count":
            return int(value) if value.isdigit() else int(value.lower() not in _FALSE)
        if action in {"append", "extend"}:
            return value.replace(",", " ").split()
        if value not in settings.get("choices", [value]):
            self.error(f"{variable} is {value!r}; choose from {', '.join(settings['choices'])}")
        return value

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and exit with 2."""
        color.say(f"error: {message}\nhint: `{self.prog} --help` lists the options")
        sys.exit(EXIT_USAGE)


def add_common(parser: Parser) -> None:
    """The options of every command."""
    add = parser.add_argument
    add("--project", metavar="DIR", help="the folder of pyproject.toml (default: found upwards from here)")
    add("--cache-dir", metavar="DIR", help="where pages, metadata and wheels are cached")
    add("--offline", action="store_true", help="use what is cached and never the network")
    add("-q", "--quiet", action="store_true", help="say nothing but errors and results")
    add("-v", "--verbose", action="count", default=0, help="say more; twice for every request")
    add("--color", choices=["auto", "always", "never"], default="auto", help="colour of the terminal's output")


def add_index(parser: Parser) -> None:
    """The options of every command that asks an index."""
    parser.add_argument(
        "--index-url", metavar="URL", help="ask this index (PEP 503, 691) instead of the configured one"
    )
    parser.add_argument("--refresh", action="store_true", help="ask again for pages that the cache holds as fresh")


def add_targets(parser: Parser) -> None:
    """The options that stand in for [tool.minglibc] on one run."""
    parser.add_argument("--glibc", metavar="VERSION", help="the cap: 2.27, manylinux_2_28 or manylinux2014")
    parser.add_argument("--musl", metavar="VERSION", help="the cap of machines with musl: 1.2 or musllinux_1_2")
    parser.add_argument("--python", action="append", metavar="VERSION", help="lock for this Python; repeat for more")
    parser.add_argument("--arch", action="append", metavar="NAME", help="lock for this architecture; repeat for more")


def folder(arguments: argparse.Namespace) -> str:
    """The project's folder."""
    return project.find(arguments.project)


def cache_folder(arguments: argparse.Namespace) -> str:
    """The cache folder: --cache-dir, else the user's own."""
    return arguments.cache_dir or default_folder()


def talk(arguments: argparse.Namespace, message: str, *, level: int = 0) -> None:
    """Print *message* to stderr, unless --quiet; *level* is how many -v it wants."""
    if not arguments.quiet and arguments.verbose >= level:
        color.say(message)


@contextmanager
def terminate() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that temporary files go; the exit code is 143."""

    def leave(signum: int, frame: object) -> NoReturn:  # noqa: ARG001
        sys.exit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
