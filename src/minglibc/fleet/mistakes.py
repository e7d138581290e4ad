"""Messages about files that name machines: short, whatever is in the file."""

from collections.abc import Sequence

from minglibc.errors import SettingsError

_MOST = 20
_LONGEST = 300
_LONGEST_QUOTE = 80


def invalid_file(name: str, mistakes: Sequence[str]) -> SettingsError:
    """The error for the file *name*: every one of *mistakes* in a line, or the first and the number of the others."""
    different = list(dict.fromkeys(mistakes))
    lines = [_shortened(mistake, _LONGEST) for mistake in different[:_MOST]]
    if more := len(different) - len(lines):
        lines.append(f"and {more:,} more")
    return SettingsError(f"{name}:\n" + "\n".join(f"  {line}" for line in lines))


def quoted(text: str) -> str:
    """*text* in quotation marks, or its beginning if it is long."""
    return repr(_shortened(text, _LONGEST_QUOTE))


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
