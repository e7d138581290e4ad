"""The reporter of the command line: messages on stderr, and a status line or progress bars on a terminal."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from minglibc.cli import color

if TYPE_CHECKING:
    from minglibc.cli.options import Namespace
    from minglibc.model.targets import Target

# Seconds before a status line is shown: most resolutions are faster.
_DELAY = 0.4


class TerminalReporter:
    """Prints messages to stderr as --quiet and --verbose request; a context that removes the progress display at its end."""

    def __init__(self, *, quiet: bool = False, verbose: int = 0) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._shows_progress = sys.stderr.isatty() and not quiet
        self._started = time.monotonic()
        self._target = ""
        self._status: Any = None
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    @classmethod
    def of(cls, arguments: "Namespace") -> Self:
        """The reporter that --quiet and --verbose describe."""
        return cls(quiet=arguments.quiet, verbose=arguments.verbose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def info(self, message: str, *, level: int = 0) -> None:
        """Print *message*, unless --quiet or too few -v hide it."""
        if not self._quiet and self._verbose >= level:
            self._stop()
            color.say(message)

    def warn(self, message: str) -> None:
        """Print *message* as a warning, unless --quiet hides it."""
        self.info(f"warning: {message}")

    def resolving(self, target: "Target") -> None:
        """Show which target is being resolved."""
        self._target = str(target)
        self._show_status("")

    def fetching(self, what: str) -> None:
        """Show what the resolver is waiting for."""
        if self._verbose > 1:
            self._stop()
            print(f"waiting for {what}", file=sys.stderr)
        self._show_status(what.rpartition("/")[2])

    def downloading(self, filename: str, done: int, size: int | None) -> None:
        """Show a bar for the file."""
        if not self._shows_progress:
            return
        if self._bars is None:
            self._stop()
            # rich takes 60 ms to import, and most downloads have no terminal.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        if filename not in self._tasks:
            self._tasks[filename] = self._bars.add_task(filename, total=size)
        self._bars.update(self._tasks[filename], completed=done, total=size, visible=done != size)

    def _show_status(self, what: str) -> None:
        if not self._shows_progress or time.monotonic() - self._started < _DELAY:
            return
        if self._status is None:
            self._stop()
            from rich.console import Console  # noqa: PLC0415  60 ms, and most resolutions finish before this
            from rich.status import Status  # noqa: PLC0415  as above

            self._status = Status("", console=Console(stderr=True))
            self._status.start()
        self._status.update(f"Resolving for {self._target}{f': {what}' if what else ''}")

    def _stop(self) -> None:
        """Remove the display; the next progress shows it again below what is printed meanwhile."""
        for display in (self._status, self._bars):
            if display is not None:
                display.stop()
        self._status = self._bars = None
        self._tasks.clear()
