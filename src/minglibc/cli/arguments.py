"""Lines of arguments as argparse reads them: abbreviations, positional arguments, variables, help, and what is wrong."""

import argparse
import os
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from minglibc.cli import color
from minglibc.errors import EXIT_USAGE

if TYPE_CHECKING:
    from minglibc.cli.options import Option, Parser


def parser_of(described: "Parser") -> "ArgumentParser":
    """Argparse's parser of what *described* takes."""
    parser = ArgumentParser(prog=described.prog, description=described.description)
    groups: dict[str, Any] = {}
    for option in described.options:
        if option.rivals and option.rivals not in groups:
            groups[option.rivals] = parser.add_mutually_exclusive_group()
        parser.add_option(option, groups.get(option.rivals, parser))
    parser.set_defaults(**described.defaults)
    return parser


class _Formatter(argparse.HelpFormatter):
    """argparse's, which makes one for each option that it is given, and would import shutil for the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    with suppress(OSError, ValueError):
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns) or 80
    return 80


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, in which MINGLIBC_OPTION in the environment stands for ``--option``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, **settings)
        self._from_environment: dict[str, Any] = {}

    def add_option(self, option: "Option", group: Any) -> None:
        """Add *option* to *group*, with the environment's value where the command line has none."""
        settings = dict(option.settings)
        if option.variable and "help" in settings:
            settings["help"] += f" [{option.variable}]"
        action = group.add_argument(*option.flags, **settings)
        if option.variable in os.environ:
            self._check_variable(option)
            self._from_environment[action.dest] = option.from_environment

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which would add a list's values to its default's."""
        found = super().parse_args(arguments, namespace)
        for name, value in self._from_environment.items():
            if getattr(found, name) == self.get_default(name):
                setattr(found, name, value)
        return found

    def _check_variable(self, option: "Option") -> None:
        value, choices = option.from_environment, option.settings.get("choices")
        if choices and value not in choices:
            self.error(f"{option.variable} is {value!r}; choose from {', '.join(choices)}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; argparse would ignore that it can't be written."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and exit with 2."""
        color.say(f"error: {message}\nhint: `{self.prog} --help` lists the options")
        sys.exit(EXIT_USAGE)
