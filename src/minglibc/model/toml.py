"""TOML, for text that may be hostile."""

import re
import tomllib
from typing import Any

# Real locks and settings are far smaller; tomllib reads about a megabyte per second.
MAX_SIZE = 16 << 20
# tomllib takes quadratic time and memory for the parts of a dotted key.
_MAX_DOTS = 100
# Compiled on first use: only long lines need it.
_STRING_OR_COMMENT = r'"""(?:\\.|[^\\])*?"""' + r"|'''.*?'''" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'" + r"|#[^\n]*"


def loads(text: str) -> dict[str, Any]:
    """The tables of *text*; raises ValueError, or RecursionError where it is nested too deeply."""
    if len(text) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE >> 20} MiB")
    if any(line.count(".") > _MAX_DOTS for line in text.split("\n")):
        _check_keys(text)
    return tomllib.loads(text)


def _check_keys(text: str) -> None:
    """Raise ValueError for a key with too many parts: without strings and comments, only keys have many dots."""
    plain = re.sub(_STRING_OR_COMMENT, "_", text, flags=re.DOTALL)
    for number, line in enumerate(plain.split("\n"), 1):
        if any(key.count(".") > _MAX_DOTS for key in re.split(r"[=\[\]{},]", line)):
            raise ValueError(f"a key has too many parts{f' (at line {number})' if plain == text else ''}")
