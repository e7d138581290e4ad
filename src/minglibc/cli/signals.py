"""Signals that end a command: they raise an exception, so that temporary files are removed."""

import _signal as signal  # type: ignore[import-not-found]  # private, so not in typeshed; signal imports enum's converter (2 ms)
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def unwinding() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt; SIGTERM and SIGHUP raise SystemExit. Ignored signals, as by nohup, stay ignored."""
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        _end(number)

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    changed = [number for number, handler in previous.items() if handler != signal.SIG_IGN]
    try:
        for number in changed:
            signal.signal(number, handle)
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # Code that is interrupted may replace the exception: an import may turn it into a TypeError.
        if received:
            _end(received[0])
        raise
    else:
        # It may also be lost, as in a callback.
        if received:
            _end(received[0])
    finally:
        for number in changed:
            signal.signal(number, previous[number])


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
