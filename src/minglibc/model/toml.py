"""TOML, for text that may be hostile."""

import io
import re
import tomllib
from typing import Any

# Real locks and settings are far smaller; tomllib needs two seconds for a megabyte.
MAX_SIZE = 6 << 20
# tomllib takes quadratic time for the parts of a key, and a kilobyte for each part of the name of a table.
_MAX_DOTS = 100
_MAX_SQUARES = 2_000_000
_MAX_PARTS = 200_000
# Compiled on first use: only long lines and large files need it. Possessive quantifiers need no memory for each character.
_STRING_OR_COMMENT = (
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"""' + r"|'''.*?'''" + r'|"(?:[^"\\\n]++|\\.)*+"' + r"|'[^'\n]*+'" + r"|#[^\n]*+"
)


def loads(text: str) -> dict[str, Any]:
    """The tables of *text*; raises ValueError, or RecursionError where it is nested too deeply."""
    if len(text) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE >> 20} MiB")
    dots = [line.count(".") for line in io.StringIO(text)]
    parts = sum(dots) + text.count("\n[")
    if max(dots, default=0) > _MAX_DOTS or parts > _MAX_PARTS or sum(map(int.__mul__, dots, dots)) > _MAX_SQUARES:
        _check_keys(text)
    return tomllib.loads(text)


def _check_keys(text: str) -> None:
    """Raise ValueError for keys with too many parts: without strings and comments, only keys have many dots."""
    plain = re.sub(_STRING_OR_COMMENT, "_", text, flags=re.DOTALL)
    parts, squares = plain.count("\n["), 0
    for number, line in enumerate(io.StringIO(plain), 1):
        for key in re.split(r"[=\[\]{},]", line) if "." in line else ():
            dots = key.count(".")
            if dots > _MAX_DOTS:
                raise ValueError(f"a key has too many parts{f' (at line {number})' if plain == text else ''}")
            parts += dots
            squares += dots * dots
    if parts > _MAX_PARTS or squares > _MAX_SQUARES:
        raise ValueError("its keys have too many parts")
