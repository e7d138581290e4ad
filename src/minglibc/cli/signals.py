"""Signals that end a command: they raise an exception, so that temporary files are removed."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def unwinding() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt; SIGTERM and SIGHUP raise SystemExit. Ignored signals, as by nohup, stay ignored."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _exit, signal.SIGHUP: _exit}
    previous = {number: signal.getsignal(number) for number in handlers}
    changed = [number for number in handlers if previous[number] != signal.SIG_IGN]
    try:
        for number in changed:
            signal.signal(number, handlers[number])
        yield
    finally:
        for number in changed:
            signal.signal(number, previous[number])


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
