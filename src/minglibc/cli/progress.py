"""One line on a terminal's stderr while something takes long; nothing anywhere else."""

import sys
import time
from argparse import Namespace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from minglibc.targets import Target

if TYPE_CHECKING:
    from rich.status import Status

_PATIENCE = 0.4


class Progress:
    """A context in which ``fetching`` and ``resolving`` may be called at any rate."""

    def __init__(self, arguments: Namespace) -> None:
        self._wanted = sys.stderr.isatty() and not arguments.quiet
        self._verbose = arguments.verbose > 1
        self._began = time.monotonic()
        self._target = ""
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def resolving(self, target: Target) -> None:
        """A resolution for *target* begins."""
        self._target = str(target)
        self._draw("")

    def fetching(self, what: str) -> None:
        """The resolver waits for *what*."""
        if self._verbose:
            print(f"waiting for {what}", file=sys.stderr)
        self._draw(what.rpartition("/")[2])

    def _draw(self, what: str) -> None:
        if not self._wanted or time.monotonic() - self._began < _PATIENCE:
            return
        if self._status is None:
            from rich.console import Console  # noqa: PLC0415  most locks are done before anything is drawn
            from rich.status import Status  # noqa: PLC0415

            self._status = Status("", console=Console(stderr=True))
            self._status.start()
        self._status.update(f"Resolving for {self._target}{f': {what}' if what else ''}")
