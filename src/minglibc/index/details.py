"""What -v prints of requests; it is imported only then."""

import time
from collections.abc import Callable
from typing import Any

from minglibc.index.calls import FetchedPage
from minglibc.model.urls import display_url

Details = Callable[[str], None]


def timed(on_detail: Details, url: str, on_result: Callable[[Any], None]) -> Callable[[Any], None]:
    """*on_result*, which first describes the request of *url* that starts now."""
    started = time.monotonic()

    def describe(result: Any) -> None:
        on_detail(f"{_outcome(result)} {display_url(url)} in {time.monotonic() - started:.2f}s")
        on_result(result)

    return describe


def _outcome(result: Any) -> str:
    if isinstance(result, Exception):
        return "failed:"
    if isinstance(result, FetchedPage):
        if result.is_unchanged:
            return "unchanged:"
        if result.is_absent:
            return "not there:"
    return "requested"
