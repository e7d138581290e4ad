"""The line of a key in a TOML file, for error messages."""

import re

# Compiled on first use: only errors need them.
_HEADER = r"\s*\[\[?\s*([^\]]+?)\s*\]"
_KEY = r"""\s*["']?([\w.-]+)["']?\s*="""


def line_of(text: str, key: str) -> int:
    """The line of *key*, such as ``tool.minglibc.glibc`` or ``tool.minglibc.index[1].url``; 0 if it is not found.

    Tables that are written inline or with dotted keys are not searched: tomllib gives no positions.
    """
    # A key can contain "[" itself.
    item = re.match(r"([^\[]*)\[([0-9]{1,6})\]", key)
    path, skip = (item[1], int(item[2])) if item else (key, 0)
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(_HEADER, line):
            table = re.sub(r"[\s\"']", "", header[1])
            if table == path:
                # Each table of an array has the same header.
                if not line.lstrip().startswith("[[") or not skip:
                    return number
                skip -= 1
        elif (match := re.match(_KEY, line)) and path in {f"{table}.{match[1]}", match[1] if not table else ""}:
            return number
    return 0
