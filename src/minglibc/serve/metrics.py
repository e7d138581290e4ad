"""Metrics in the text format of Prometheus, without names of projects, files, clients or caps."""

import os
from functools import lru_cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

# Each worker writes its values to this folder, whose sum is reported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)


class Metrics:
    """The metrics of one server, or of all its workers."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "minglibc_requests", "Responses by kind of page and status.", ("kind", "status"), registry=registry
        )
        self._seconds = Histogram(
            "minglibc_request_seconds",
            "Seconds until a response begins.",
            ("kind",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._pages = Counter(
            "minglibc_upstream_pages",
            "Pages of the upstream indexes: confirmed (also by the cache folder), absent, stale or failed.",
            ("outcome",),
            registry=registry,
        )
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call, unused-ignore]
        self._registry = registry
        self._of_kind = lru_cache(maxsize=1 << 10)(self._labelled)

    def observe(self, kind: str, status: int, seconds: float) -> None:
        """Count a response."""
        count, histogram = self._of_kind(kind, status)
        count.inc()
        histogram.observe(seconds)

    def _labelled(self, kind: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(kind, str(status)), self._seconds.labels(kind)

    def count_page(self, outcome: str) -> None:
        """Count a page that was requested from the upstream indexes."""
        self._pages.labels(outcome).inc()

    def text(self) -> bytes:
        """All values."""
        text: bytes = generate_latest(self._registry)
        return text
