"""What all commands' arguments have in common: how they are read, MINGLIBC_* defaults, --project and its like, signals."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from minglibc.app.options import CommonOptions
from minglibc.cache.pages import default_folder
from minglibc.cli import color
from minglibc.config import project_files

if TYPE_CHECKING:
    from minglibc.config.settings import Overrides

EXIT_TERMINATED = 143
_FALSE = frozenset(("", "0", "false", "no", "off"))


class Namespace(SimpleNamespace):
    """The values of a command's arguments."""


class Option(NamedTuple):
    """An argument as ``add_argument`` was told of it."""

    flags: tuple[str, ...]
    settings: dict[str, Any]
    # The variable of the environment that stands for it; none where that is empty.
    variable: str = ""
    # What it shares with those options of which only one may be given.
    rivals: str = ""

    @property
    def is_option(self) -> bool:
        """Whether it has flags, and is not positional."""
        return self.flags[0].startswith("-")

    @property
    def attribute(self) -> str:
        """Where its value is put."""
        named = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return named.lstrip("-").replace("-", "_")

    @property
    def default(self) -> Any:
        """Its value where nobody gives one."""
        return self.settings.get("default", False if self.settings.get("action") == "store_true" else None)

    @property
    def from_environment(self) -> Any:
        """Its value by its variable, which is set."""
        value, action = os.environ[self.variable], self.settings.get("action")
        if action == "store_true":
            return value.lower() not in _FALSE
        if action == "count":
            return int(value) if value.isdigit() else int(value.lower() not in _FALSE)
        return value.replace(",", " ").split() if action == "append" else value


class Parser:
    """What a command takes, in argparse's words; importing and asking argparse costs a tenth of a small lock's time.

    Lines of options that are written out are read here, and mean what they mean there; all others are left to argparse.
    """

    def __init__(self, *, prog: str = "minglibc", description: str = "") -> None:
        self.prog = prog
        self.description = description
        self.options: list[Option] = []
        self.defaults: dict[str, Any] = {}

    def add_argument(self, *flags: str, variable: bool = True, rivals: str = "", **settings: Any) -> None:
        """As argparse's, but for *variable*, whether MINGLIBC_ and its name stand for it, and *rivals*, which exclude each other."""
        option = Option(flags, settings, rivals=rivals)
        if variable and option.is_option:
            option = option._replace(variable=f"MINGLIBC_{option.attribute.upper()}")
        self.options.append(option)

    def set_defaults(self, **values: Any) -> None:
        """As argparse's."""
        self.defaults.update(values)

    def parse_args(self, arguments: Sequence[str]) -> Namespace:
        """The value of each argument; prints help or what is wrong, and exits."""
        found = self.read_plain(arguments)
        if found is None:
            from minglibc.cli.arguments import parser_of  # noqa: PLC0415  most lines are plain

            found = parser_of(self).parse_args(list(arguments), Namespace())
        return found

    def read_plain(self, arguments: Sequence[str]) -> Namespace | None:
        """The same where each of *arguments* is an option written out, or its value; None where argparse has to decide."""
        if not all(option.is_option for option in self.options):
            return None
        known = {flag: option for option in self.options for flag in option.flags}
        found = Namespace(**({option.attribute: option.default for option in self.options} | self.defaults))
        rest = iter(arguments)
        for word in rest:
            option = known.get(word)
            if option is None or not _take(option, rest, found):
                return None
        told = [option for option in self.options if option.variable in os.environ]
        return found if all(_take_variable(option, found) for option in told) else None


def _take(option: Option, rest: Iterator[str], found: Namespace) -> bool:
    """Put the value of an option into *found*; false where argparse has more to say about it."""
    settings, name = option.settings, option.attribute
    action, before = settings.get("action", "store"), getattr(found, name)
    if option.rivals:
        return False
    if action == "store_true":
        value: Any = True
    elif action == "count":
        value = (before or 0) + 1
    else:
        word = next(rest, "-")
        if word.startswith("-") or "nargs" in settings or "type" in settings:
            return False
        if action not in {"store", "append"} or word not in settings.get("choices", (word,)):
            return False
        value = [*(before or ()), word] if action == "append" else word
    setattr(found, name, value)
    return True


def _take_variable(option: Option, found: Namespace) -> bool:
    """Put what the environment says into *found*, unless the line says something; false where that is no choice."""
    value = option.from_environment
    if getattr(found, option.attribute) == option.default:
        setattr(found, option.attribute, value)
    return value in option.settings.get("choices", (value,))


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


def common_options(arguments: Namespace) -> CommonOptions:
    """What a command's arguments say of the project, the cache and the indexes."""
    return CommonOptions(
        project=arguments.project,
        cache_dir=arguments.cache_dir,
        offline=arguments.offline,
        refresh=getattr(arguments, "refresh", False),
        # `sync` and its like have no --index-url, but their build environments use the variable.
        index_url=getattr(arguments, "index_url", None) or os.environ.get("MINGLIBC_INDEX_URL"),
    )


def target_overrides(arguments: Namespace) -> "Overrides":
    """What the options of ``add_targets`` say instead of [tool.minglibc]."""
    from minglibc.config.settings import Overrides  # noqa: PLC0415  10 ms, and an unchanged `run` has no settings

    pythons, architectures = tuple(arguments.python or ()), tuple(arguments.arch or ())
    return Overrides(arguments.glibc, arguments.musl, pythons, architectures)


def folder(arguments: Namespace) -> str:
    """The project's folder."""
    return project_files.find(arguments.project)


def cache_folder(arguments: Namespace) -> str:
    """The cache folder: --cache-dir, else the user's own."""
    return arguments.cache_dir or default_folder()


def talk(arguments: Namespace, message: str, *, level: int = 0) -> None:
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
