"""The limits of requests. Imports no HTTP library: they are checked before a process or a thread needs one."""

import os
from typing import NamedTuple

from minglibc.errors import SettingsError
from minglibc.index.response import MIB

_MAX_NUMBER = 3600


class Limits(NamedTuple):
    """The limits of one request: seconds without a byte, seconds in total, retries, bytes of a body as sent."""

    timeout: float = 20.0
    deadline: float = 120.0
    retries: int = 3
    body: int = 256 * MIB

    @classmethod
    def from_environment(cls, *, timeout: float | None = None, retries: int | None = None) -> "Limits":
        """The given or default values, unless MINGLIBC_HTTP_TIMEOUT (seconds without a byte) or MINGLIBC_HTTP_RETRIES is set."""
        defaults = cls._field_defaults
        timeout = _number("MINGLIBC_HTTP_TIMEOUT", defaults["timeout"] if timeout is None else timeout, least=0.001)
        retries = int(_number("MINGLIBC_HTTP_RETRIES", defaults["retries"] if retries is None else retries, least=0))
        return cls(timeout=timeout, deadline=6 * timeout, retries=retries)


def _number(variable: str, default: float, *, least: float) -> float:
    text = os.environ.get(variable)
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not least <= number <= _MAX_NUMBER:
        raise SettingsError(f"{variable} is {text!r}", hint=f"expected a number from {least:g} to {_MAX_NUMBER:g}")
    return number
