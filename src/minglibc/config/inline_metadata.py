"""The ``script`` block in a Python file's comments (PEP 723)."""

import re
from collections.abc import Iterator, Sequence

# The regular expression of the standard takes quadratic time for unclosed blocks; this reads each line once.
_BEGIN = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"
EXAMPLE = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["httpx"]\n#\n# [tool.minglibc]\n# glibc = "2.17"\n# ///'


def script_block(text: str) -> str | None:
    """The TOML of the script block in *text*, None if there is none; raises ValueError if there are several."""
    scripts = [content for kind, content in _blocks(text.replace("\r\n", "\n").split("\n")) if kind == "script"]
    if len(scripts) > 1:
        raise ValueError("it has more than one script block")
    if not scripts:
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


def _is_comment(line: str) -> bool:
    return line == "#" or line.startswith("# ")
