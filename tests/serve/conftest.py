"""Servers of the test index."""

from collections.abc import Iterator

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.index import IndexServer
from tests.support.serve import common, serving


@pytest.fixture
def client(index: IndexServer) -> Iterator[httpx.Client]:
    """A client of a server whose only upstream is the test index."""
    with serving(ServeOptions(common(index_url=index.url))) as client:
        yield client
