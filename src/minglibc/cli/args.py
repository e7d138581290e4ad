"""The options that commands share, with a variable MINGLIBC_OPTION in the environment for each --option."""

import argparse
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from minglibc.app.options import CommonOptions
from minglibc.app.sync_options import COPY, HARDLINK, SelectionOptions, SyncOptions
from minglibc.cli import output
from minglibc.cli.plain_options import FALSE
from minglibc.errors import EXIT_USAGE, SettingsError

if TYPE_CHECKING:
    from minglibc.config.settings import Overrides


class _Formatter(argparse.HelpFormatter):
    """argparse's formatter, which is created for every option and would import shutil (5 ms) for the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=output.terminal_width() - 2)


class ArgumentParser(argparse.ArgumentParser):
    """A parser in which MINGLIBC_OPTION in the environment stands for ``--option``."""

    def __init__(self, prog: str = "minglibc", description: str = "", **settings: Any) -> None:
        self._variables: dict[str, argparse.Action] = {}
        super().__init__(prog, description=description, formatter_class=_Formatter, allow_abbrev=False, **settings)

    def add_argument(self, *flags: str, variable: bool = True, **settings: Any) -> argparse.Action:
        """As argparse's; an option with *variable* can be set by the environment."""
        action = super().add_argument(*flags, **settings)
        if variable and action.option_strings and action.dest != "help":
            name = f"MINGLIBC_{action.dest.upper()}"
            self._variables[name] = action
            action.help = f"{action.help} [{name}]"
        return action

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's; the environment sets the options that the command line leaves at their default."""
        arguments = super().parse_args(args, namespace)
        for name, action in self._variables.items():
            if name in os.environ and getattr(arguments, action.dest) == action.default:
                setattr(arguments, action.dest, self._value_of(name, action))
        return arguments

    def _value_of(self, name: str, action: argparse.Action) -> Any:
        """The value that the variable *name* gives an option; an invalid one is a usage error."""
        text = os.environ[name]
        if action.nargs == 0:  # a flag, or one that is counted
            if isinstance(action.default, bool):
                return text.lower() not in FALSE
            return int(text) if text.isdecimal() else int(text.lower() not in FALSE)
        if isinstance(action, argparse._AppendAction):  # noqa: SLF001  argparse has no public name for it
            return text.replace(",", " ").split()
        if action.choices and text not in action.choices:
            self.error(f"{name} is {text!r}; choose from {', '.join(action.choices)}")
        try:
            return self._get_value(action, text)
        except argparse.ArgumentError as error:
            self.error(f"{name}: {error.message}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; argparse ignores an error when writing it."""
        (file or sys.stderr).write(message)

    def error(self, message: str, *, hint: str | None = None) -> NoReturn:
        """Print what is wrong with the arguments, and exit with 2."""
        if hint is None and message.startswith("unrecognized arguments: "):
            from minglibc.cli.equivalents import equivalent_of  # noqa: PLC0415  only for an error

            hint = equivalent_of(message.partition(": ")[2])
        output.print_message(f"error: {message}\nhint: {hint or f'`{self.prog} --help` lists the options'}")
        sys.exit(EXIT_USAGE)


def add_common(parser: ArgumentParser) -> None:
    """The options of every command."""
    add = parser.add_argument
    add("--project", metavar="DIR", help="the folder of pyproject.toml (default: this folder or the nearest parent)")
    add("--cache-dir", metavar="DIR", help="the folder of the cache for pages, metadata and wheels")
    add("--offline", action="store_true", help="use only what is cached, without network access")
    add("-q", "--quiet", action="store_true", help="print only errors and results")
    add(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="print requests, what the cache has, times and the target; twice to print more",
    )
    add("--color", choices=["auto", "always", "never"], default="auto", help="whether to color the output")


def common_options_before(arguments: Sequence[str]) -> int:
    """How many of the first *arguments* are options of every command, with their values; an unknown option is an error."""
    parser = ArgumentParser()
    add_common(parser)
    count = 0
    while count < len(arguments) and arguments[count].startswith("-"):
        name, equals, _ = arguments[count].partition("=")
        # `-qv` is `-q -v`.
        flags = [name] if name.startswith("--") else [f"-{letter}" for letter in name[1:]]
        actions = [parser._option_string_actions.get(flag) for flag in flags]  # noqa: SLF001  as parse_known_args
        if not actions or None in actions:
            message = f"unknown option {arguments[count]} before the command"
            parser.error(message, hint="options of a command follow it; `minglibc help COMMAND` lists them")
        takes_value = actions[-1] is not None and actions[-1].nargs is None
        count += 2 if takes_value and not equals else 1
    return count


def add_index(parser: ArgumentParser) -> None:
    """The options of every command that uses an index."""
    parser.add_argument(
        "--index-url", metavar="URL", help="use this index (PEP 503, 691) instead of the configured default"
    )
    parser.add_argument(
        "--index",
        action="append",
        metavar="[NAME=]URL",
        help="search this index before the configured ones; can be repeated",
    )
    parser.add_argument("--refresh", action="store_true", help="request pages again, even if the cached ones are fresh")


def add_targets(parser: ArgumentParser) -> None:
    """The options that override [tool.minglibc]."""
    add = parser.add_argument
    add(
        "--glibc",
        metavar="VERSION",
        help="the cap: 2.27, manylinux_2_28, manylinux2014 or a distribution such as rhel-8",
    )
    add("--musl", metavar="VERSION", help="the cap for machines with musl: 1.2 or musllinux_1_2")
    add("--python", action="append", metavar="VERSION", help="a Python version to lock for; can be repeated")
    add("--arch", action="append", metavar="NAME", help="an architecture to lock for; can be repeated")


def add_osv(parser: ArgumentParser) -> None:
    """The options of the commands that list vulnerabilities."""
    parser.add_argument(
        "--osv",
        action="store_true",
        help="where the index has no vulnerability data, ask osv.dev, which is sent names and versions from PyPI only",
    )
    parser.add_argument(
        "--osv-file",
        metavar="PATH",
        help="where the index has no vulnerability data, read an export of osv.dev: a zip archive or a folder",
    )


def add_toolchain(parser: ArgumentParser) -> None:
    """The option that selects the compilers of builds."""
    from minglibc.config.settings import TOOLCHAINS  # noqa: PLC0415  20 ms, and an unchanged `run` reads no settings

    parser.add_argument(
        "--toolchain",
        choices=TOOLCHAINS,
        help="the compilers for builds from source: the machine's own, or zig's, which build for the cap",
    )


def add_sources(parser: ArgumentParser) -> None:
    """The options that allow packages without a wheel to be built."""
    # No environment variable lets minglibc run what an index has.
    parser.add_argument(
        "--allow-sdist",
        variable=False,
        action="store_true",
        help="build all packages that have no wheel from source, and add them to the setting allow-sdist",
    )
    parser.add_argument(
        "--allow-sdist-package",
        variable=False,
        action="append",
        metavar="NAME",
        help="add NAME to the setting allow-sdist; can be repeated",
    )


def add_jobs(parser: ArgumentParser) -> None:
    """The number of builds that run at a time."""
    parser.add_argument(
        "-j",
        "--jobs",
        type=_jobs,
        default=0,
        metavar="N",
        help="how many packages to build at a time (default and limit: the number of processors)",
    )


def _jobs(text: str) -> int:
    """A positive number."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def add_lock(parser: ArgumentParser) -> None:
    """The option that names another lock than the project's."""
    parser.add_argument("--lock", metavar="FILE", help="use this lock instead of the project's, e.g. pylock.tools.toml")


def add_lock_part(parser: ArgumentParser, locked_note: str = " (the default)") -> None:
    """The lock to install or to pass on, and which part of it."""
    add_lock(parser)
    add = parser.add_argument
    add("--target", metavar="NAME", help="use this target of the lock, e.g. cp39-x86_64-glibc2.27")
    add("--extra", action="append", metavar="NAME", help="include this extra of the project; can be repeated")
    add("--all-extras", action="store_true", help="include all extras")
    add("--group", action="append", metavar="NAME", help="include this dependency group; can be repeated")
    add("--all-groups", action="store_true", help="include all dependency groups")
    add("--no-group", action="append", metavar="NAME", help="exclude this dependency group; can be repeated")
    add("--no-default-groups", action="store_true", help="exclude the default dependency groups")
    dev: dict[str, Any] = {"action": "append_const", "const": "dev", "variable": False}
    add("--dev", dest="group", help="the same as --group dev", **dev)
    add("--no-dev", dest="no_group", help="the same as --no-group dev", **dev)
    add("--only-group", action="append", metavar="NAME", help="include only this dependency group; can be repeated")
    add("--frozen", action="store_true", help="use the lock even if pyproject.toml has changed since")
    add("--locked", action="store_true", variable=False, help=f"fail if pyproject.toml has changed since{locked_note}")


def add_selection(parser: ArgumentParser) -> None:
    """What `sync` and `run` both take: the environment, the part of the lock, and how to install."""
    # MINGLIBC_PYTHON lists versions, for `lock`; this is one environment and has no variable.
    parser.add_argument(
        "-p",
        "--python",
        variable=False,
        metavar="PYTHON",
        help="an environment or its interpreter; or a version or base interpreter to create .venv from (default: .venv)",
    )
    add_lock_part(parser, locked_note=", instead of locking again")
    add = parser.add_argument
    add("--inexact", action="store_true", help="keep packages that are not in the lock")
    add(
        "--link-mode",
        choices=[HARDLINK, COPY],
        default=HARDLINK,
        help="how to install files from the cache (default: hardlink)",
    )
    add("--no-install-project", action="store_true", help="do not install the project itself")


def common_options(arguments: Namespace) -> CommonOptions:
    """The options of every command, typed."""
    return CommonOptions(
        arguments.project,
        arguments.cache_dir,
        arguments.offline,
        getattr(arguments, "refresh", False),
        # Commands without the option also use the variable: to build sources, and for the credentials in it.
        getattr(arguments, "index_url", None) or os.environ.get("MINGLIBC_INDEX_URL"),
        output.Terminal.of(arguments).warn,
        tuple(getattr(arguments, "index", None) or ()),
    )


def selection_options(arguments: Namespace) -> SelectionOptions:
    """The options of ``add_lock_part``, typed."""
    if arguments.frozen and arguments.locked:
        raise SettingsError("--locked can't be combined with --frozen")
    return SelectionOptions(
        arguments.lock,
        arguments.target,
        tuple(arguments.extra or ()),
        arguments.all_extras,
        tuple(arguments.group or ()),
        arguments.all_groups,
        tuple(arguments.no_group or ()),
        not arguments.no_default_groups,
        arguments.frozen,
        tuple(arguments.only_group or ()),
    )


def sync_options(arguments: Namespace) -> SyncOptions:
    """The options of ``add_selection``, typed."""
    return SyncOptions(
        selection_options(arguments),
        arguments.python,
        arguments.inexact,
        arguments.link_mode,
        not (arguments.no_install_project or arguments.only_group),
    )


def target_overrides(arguments: Namespace) -> "Overrides":
    """The options that override [tool.minglibc], typed."""
    from minglibc.config.settings import Overrides  # noqa: PLC0415  20 ms, and an unchanged `run` reads no settings

    pythons, architectures = tuple(arguments.python or ()), tuple(arguments.arch or ())
    toolchain = getattr(arguments, "toolchain", None)
    return Overrides(arguments.glibc, arguments.musl, pythons, architectures, toolchain=toolchain)
