"""Invalid requirements and specifiers of old releases, read as uv reads them."""

import re
from functools import cache

from minglibc.model import versions
from minglibc.model.requirements import InvalidRequirement, Requirement, parse

# In uv's order; each is applied to the result of the one before, until the text is valid.
_FIXES = (
    (r"(\d)([<>=~^!])", r"\1,\2"),  # ">=7.2.0<8.0.0": a missing comma
    (r"!=~((?:\d\.)*\d)", r"!=\1.*"),  # "!=~5.0"
    (r"(<=|>=|<|>)(\s*\d+(?:\.\d+)*)\.\*", r"\1\2"),  # ">=1.9.*"
    (r"(\d\.\d)+\*", r"\1.*"),  # "!=3.0*"
    (r"([^,]),(\s*\)?\s*)$", r"\1\2"),  # ">=3.6,"
    (r">dev", ">=0.0.0dev"),  # ">dev"
    (r"(\d+(?:\.\d)*(?:a|b|rc|post|dev)\d+)\.0", r"\1"),  # ">=9.0.0a1.0"
    (r"['\"]([*\d])|([*\d])['\"]", r"\1\2"),  # ">= '2.7'"
)
# Longer than any specifier that has such a mistake.
_LONGEST = 500


@cache
def lenient_specifier(text: str) -> str:
    """*text* as a valid version specifier if it is one, or a common mistake; else *text* itself."""
    if _is_specifier(text):
        return text
    return next((candidate for candidate in _fixed(text) if _is_specifier(candidate)), text)


@cache
def parse_lenient(text: str) -> Requirement:
    """The requirement *text* of an index's metadata; raises InvalidRequirement for the error of *text* as it is."""
    try:
        return parse(text)
    except InvalidRequirement:
        requirement, semicolon, marker = text.partition(";")
        for candidate in _fixed(requirement):
            try:
                return parse(f"{candidate}{semicolon}{marker}")
            except InvalidRequirement:
                continue
        raise


def _fixed(text: str) -> list[str]:
    results: list[str] = []
    # These patterns take quadratic time.
    if len(text) > _LONGEST:
        return results
    for pattern, replacement in _FIXES:
        fixed = re.sub(pattern, replacement, text)
        if fixed != text:
            text = fixed
            results.append(text)
    return results


def _is_specifier(text: str) -> bool:
    if all(map(versions.is_plain, text.split(","))):
        return True
    try:
        versions.contains(text, "3")
    except ValueError:
        return False
    return True
