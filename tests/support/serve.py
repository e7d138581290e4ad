"""A server of capped pages for tests, in a thread of this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT
from minglibc.app.serve import ServeOptions, checked_factory
from tests.support.index import JSON_PAGE

JSON = {"Accept": JSON_PAGE}


@contextmanager
def serving(options: ServeOptions) -> Iterator[httpx.Client]:
    """A client of a server on loopback, with its URL as the base."""
    from minglibc.serve import server  # noqa: PLC0415  the tests are skipped where the extra is missing

    with server.listen(options.host, 0) as listener:
        make = checked_factory(options, SILENT)
        with (
            server.running(server.config(make, access_log=False), listener),
            httpx.Client(base_url=server.origin_of_socket(listener)) as client,
        ):
            yield client


def common(project: object = None, *, index_url: str | None = None, cache: object = None) -> CommonOptions:
    """The options of a server of one index, or of the indexes of a project."""
    return CommonOptions(
        None if project is None else str(project), cache_dir=None if cache is None else str(cache), index_url=index_url
    )


def listed(response: httpx.Response) -> list[str]:
    """The file names on a JSON page."""
    assert response.status_code == 200, response.text
    return [file["filename"] for file in response.json()["files"]]
