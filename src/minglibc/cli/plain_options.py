"""The options of most `lock` commands, without argparse, which takes 6 ms to import and to use."""

# Only modules that import next to nothing.

import os

from minglibc.cache.location import default_folder

_FLAGS = frozenset(("--check", "--offline", "-q", "--quiet"))
_WITH_VALUE = frozenset(("--cache-dir", "--index-url"))
_VARIABLES = frozenset(("MINGLIBC_CACHE_DIR", "MINGLIBC_INDEX_URL", "MINGLIBC_OFFLINE"))
# The values of a variable that unset a flag.
FALSE = frozenset(("", "0", "false", "no", "off"))


class PlainOptions:
    """The options that do not affect what is locked."""

    __slots__ = ("cache_dir", "check", "index_url", "offline", "quiet")

    def __init__(self, flags: set[str], values: dict[str, str]) -> None:
        variable = os.environ.get
        self.check = "--check" in flags
        self.quiet = bool(flags & {"-q", "--quiet"})
        self.offline = "--offline" in flags or variable("MINGLIBC_OFFLINE", "").lower() not in FALSE
        self.cache_dir = values.get("--cache-dir", variable("MINGLIBC_CACHE_DIR"))
        self.index_url = values.get("--index-url") or variable("MINGLIBC_INDEX_URL")


def parse(arguments: list[str]) -> PlainOptions | None:
    """The options of `lock`; None if argparse has to read the arguments, or the variables of other options."""
    flags: set[str] = set()
    values: dict[str, str] = {}
    rest = iter(arguments)
    for option in rest:
        if option in _FLAGS:
            flags.add(option)
            continue
        value = next(rest, "-") if option in _WITH_VALUE else "-"
        if not value or value.startswith("-"):
            return None
        values[option] = value
    if any(name.startswith("MINGLIBC_") and name not in _VARIABLES for name in os.environ):
        return None
    return PlainOptions(flags, values)


def cache_folder(arguments: list[str]) -> str:
    """The cache folder that any *arguments* or the environment name, or the default one; "" without a home directory."""
    value = ""
    for position, option in enumerate(arguments):
        if option == "--cache-dir":
            value = "".join(arguments[position + 1 : position + 2])
        elif option.startswith("--cache-dir="):
            value = option.partition("=")[2]
    return value or os.environ.get("MINGLIBC_CACHE_DIR") or default_folder()
