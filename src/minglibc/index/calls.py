"""What is fetched, and how: the calls of a Fetcher and their results, as they pass between threads and processes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from minglibc.errors import IndexAnswerError, MinglibcError

if TYPE_CHECKING:
    from minglibc.model.project_page import ProjectPage

# What is fetched ("page", "metadata", "digest") and of what.
Key = tuple[str, str]
# The key of a call, and its result or error.
Reply = tuple[Key, Any]


class Call(NamedTuple):
    """A method of Fetcher and its arguments after the connection; they can be pickled."""

    method: str
    arguments: dict[str, Any]


class FetchedPage(NamedTuple):
    """The result of a request for a page: not there, unchanged, written to the cache, or *page* itself."""

    entry: Mapping[str, Any]
    page: "ProjectPage | None" = None
    is_absent: bool = False
    is_unchanged: bool = False
    is_stored: bool = False
    # Why there is none, where the index has the page in no usable format.
    refusal: IndexAnswerError | None = None


def is_expected(result: Any) -> bool:
    """Whether *result* is no error, or one that an index can cause."""
    return not isinstance(result, BaseException) or isinstance(result, (MinglibcError, ValueError))


class Workers(Protocol):
    """Threads or a process that make calls in parallel, the urgent ones first."""

    def submit(self, key: Key, call: Call, *, urgent: bool) -> None:
        """Make *call*; its reply has the same *key*."""
        ...

    def promote(self, key: Key) -> None:
        """Make the call of *key* urgent."""
        ...

    def replies(self, *, wait: bool) -> Sequence[Reply]:
        """The replies since the last call; with *wait*, wait for some time if there are none. Raises WorkersEnded."""
        ...

    def close(self) -> None:
        """Cancel all calls; a page that is being written to the cache is completed."""
        ...
