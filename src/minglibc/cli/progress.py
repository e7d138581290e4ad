"""One line on a terminal's stderr while something takes long, bars for downloads; nothing anywhere else."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from minglibc.cli.options import Namespace
from minglibc.model.targets import Target

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


class Bars:
    """A context in which ``advance`` draws a bar for each file that is downloaded."""

    def __init__(self, arguments: Namespace) -> None:
        self._wanted = sys.stderr.isatty() and not arguments.quiet
        self._display: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display:
            self._display.stop()

    def advance(self, name: str, done: int, size: int | None) -> None:
        """*done* bytes of the file *name* are here, of *size* if that is known."""
        if not self._wanted:
            return
        if self._display is None:
            from rich.console import Console  # noqa: PLC0415  most downloads are seen by nobody
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415  paid for only where it is needed

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
            self._display = Progress(*columns, console=Console(stderr=True), transient=True)
            self._display.start()
        if name not in self._tasks:
            self._tasks[name] = self._display.add_task(name, total=size)
        self._display.update(self._tasks[name], completed=done, total=size, visible=done != size)
