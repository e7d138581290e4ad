"""``python -m minglibc``, and the program ``minglibc``."""

# Ctrl-C while a module is imported prints a traceback. The signal module, which signals.py uses, imports enum (4 ms).
import _signal  # type: ignore[import-not-found]  # private, so not in typeshed
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


def _exit(number: int, _frame: "FrameType | None") -> "NoReturn":
    os._exit(128 + number)


def _handle_signals() -> None:
    """End the process at a signal, until a command runs and handles signals itself, and after that."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _exit)
    for number in (_signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) == _signal.SIG_DFL:  # nohup ignores SIGHUP
            _signal.signal(number, _exit)


try:
    _handle_signals()
except KeyboardInterrupt:  # a signal that arrived while this module was read
    os._exit(128 + _signal.SIGINT)


def main() -> "NoReturn":
    """Run the command line."""
    from minglibc import cli  # noqa: PLC0415  after the handlers are set

    sys.exit(cli.main())


if __name__ == "__main__":
    main()
