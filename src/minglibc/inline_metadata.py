"""The ``script`` block in a Python file's comments (PEP 723)."""

import re

# The standard's own expression, which it wants everybody to use.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
EXAMPLE = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["httpx"]\n#\n# [tool.minglibc]\n# glibc = "2.17"\n# ///'


def script_block(text: str) -> str | None:
    """The TOML of the one script block in *text*, None where there is none; raises ValueError where there are several."""
    found = [match for match in _BLOCK.finditer(text.replace("\r\n", "\n")) if match["type"] == "script"]
    if len(found) > 1:
        raise ValueError("it has more than one script block")
    if not found:
        return None
    return "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in found[0]["content"].splitlines(keepends=True)
    )
