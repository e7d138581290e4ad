"""The ``script`` block in a Python file's comments (PEP 723)."""

import re
from collections.abc import Iterator, Sequence

# The regular expression of the standard takes quadratic time for unclosed blocks; this reads each line once.
_BEGIN = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"
_SIMILAR = re.compile(r"[ \t]*#+[ \t]*/{3}[ \t]*script[ \t]*", re.IGNORECASE)
EXAMPLE = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["httpx"]\n#\n# [tool.minglibc]\n# glibc = "2.17"\n# ///'


def script_block(text: str) -> str | None:
    """The TOML of the script block in *text*, None if there is none; raises ValueError if it is invalid or there are several."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    scripts = [content for kind, content in _blocks(lines) if kind == "script"]
    if len(scripts) > 1:
        raise ValueError("it has more than one script block")
    if not scripts:
        if fault := _fault(lines):
            raise ValueError(fault)
        return None
    return "".join(f"{line[2:] if line.startswith('# ') else line[1:]}\n" for line in scripts[0])


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The type and the lines of each block, which ends at the last ``# ///`` of the comment lines after its start."""
    position = 0
    while position < len(lines):
        if not _is_comment(lines[position]):
            position += 1
            continue
        stop = next((i for i in range(position, len(lines)) if not _is_comment(lines[i])), len(lines))
        end = max((i for i in range(position, stop) if lines[i] == _END), default=-1)
        begins = (i for i in range(position, end - 1) if _BEGIN.fullmatch(lines[i]))
        begin = next(begins, None)
        if begin is not None and (match := _BEGIN.fullmatch(lines[begin])):
            yield match[1], lines[begin + 1 : end]
        position = stop


def _fault(lines: Sequence[str]) -> str:
    """Why the first line that looks like the start of a script block does not start one; empty if there is no such line."""
    for number, line in enumerate(lines, 1):
        if not _SIMILAR.fullmatch(line):
            continue
        if not (match := _BEGIN.fullmatch(line)) or match[1] != "script":
            return f"line {number} is {line!r}, but a script block begins with '# /// script'"
        for following, text in enumerate(lines[number:], number + 1):
            if not _is_comment(text):
                if text.startswith("#"):
                    return f"line {following} of the script block must begin with '# '"
                break
        return f"the script block at line {number} is empty or has no closing '# ///'"
    return ""


def _is_comment(line: str) -> bool:
    return line == "#" or line.startswith("# ")
