"""The names of shared libraries, as settings and ELF files have them."""

import re

_LIBRARY = re.compile(r"(?:lib)?([A-Za-z0-9][A-Za-z0-9_.+-]*?)(?:\.so(?:\.[0-9.]+)?)?")


def library_name(text: str) -> str:
    """``pq`` for pq, libpq, libpq.so and libpq.so.5; empty for what is no name of a library."""
    match = _LIBRARY.fullmatch(text)
    return match[1] if match else ""
