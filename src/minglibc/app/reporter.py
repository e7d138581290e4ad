"""How a use case reports its messages and its progress; the terminal's implementation is in cli/."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from minglibc.model.targets import Target
    from minglibc.resolve.conflict import Attempt


class Reporter(Protocol):
    """Receives the messages and the progress of a use case; its methods may be called at any rate."""

    details: Callable[[str], None] | None
    """Receives each request and what the cache has instead; None if these are not reported."""

    def info(self, message: str, *, level: int = 0) -> None:
        """A message for the user; *level* is the verbosity (the number of -v options) that shows it."""

    def warn(self, message: str) -> None:
        """A message about something that is probably wrong, without the label "warning:"."""

    def resolving(self, target: "Target") -> None:
        """The resolution for *target* starts."""

    def trying(self, attempt: "Attempt") -> None:
        """A search that takes more than two seconds tries another release."""

    def fetching(self, what: str) -> None:
        """The resolver waits for *what*, a page or a file of an index."""

    def downloading(self, filename: str, done: int, size: int | None) -> None:
        """*done* bytes of the file have been downloaded, of *size* where that is known."""

    def building(self, names: Sequence[str]) -> None:
        """The builds that are running have changed; *names* are their packages, none after the last one."""

    def installing(self, packages: int) -> None:
        """All files have been downloaded; those that are not unpacked yet are, and *packages* are installed."""


class SilentReporter:
    """A reporter that ignores everything."""

    details: Callable[[str], None] | None = None

    def info(self, message: str, *, level: int = 0) -> None:
        """Ignore *message*."""

    def warn(self, message: str) -> None:
        """Ignore *message*."""

    def resolving(self, target: "Target") -> None:
        """Ignore *target*."""

    def trying(self, attempt: "Attempt") -> None:
        """Ignore *attempt*."""

    def fetching(self, what: str) -> None:
        """Ignore *what*."""

    def downloading(self, filename: str, done: int, size: int | None) -> None:
        """Ignore the progress."""

    def building(self, names: Sequence[str]) -> None:
        """Ignore *names*."""

    def installing(self, packages: int) -> None:
        """Ignore the number of *packages*."""


SILENT: Reporter = SilentReporter()
