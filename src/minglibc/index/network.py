"""The network of one lock: each thing is fetched once, by a process or by threads."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minglibc.errors import SettingsError
from minglibc.index import fetch_process
from minglibc.index.calls import Call, Key, Workers, is_expected
from minglibc.index.fetch_process import WorkersEnded
from minglibc.index.limits import Limits

if TYPE_CHECKING:
    from minglibc.cache.pages import Store
    from minglibc.index.credentials import Credentials


class _Request:
    """A call without a reply, and the function for its result or error."""

    __slots__ = ("call", "on_result", "urgent")

    def __init__(self, call: Call, on_result: Callable[[Any], None]) -> None:
        self.call = call
        self.on_result = on_result
        self.urgent = False


class Network:
    """Makes calls in parallel; their results are passed on in the thread that waits for one or looks for some."""

    def __init__(self, store: "Store", credentials: "Credentials") -> None:
        self._credentials = credentials
        self._limits = Limits.from_environment()
        self._requests: dict[Key, _Request] = {}
        process = fetch_process.start(store.folder) if store.is_writable else None
        self._workers: Workers
        if process is None:
            self._workers = self._threads()
        else:
            self._workers = process
            process.configure(credentials, self._limits)

    def _threads(self) -> Workers:
        # httpx, 80 ms, which the process has imported where there is one.
        from minglibc.index.fetch_threads import FetchThreads  # noqa: PLC0415
        from minglibc.index.fetcher import Fetcher  # noqa: PLC0415

        return FetchThreads(Fetcher(self._credentials), self._limits)

    def is_requested(self, key: Key) -> bool:
        """Whether the call of *key* has no reply yet."""
        return key in self._requests

    def start(self, key: Key, method: str, arguments: dict[str, Any], on_result: Callable[[Any], None]) -> None:
        """Call a *method* of Fetcher, unless that of *key* has no reply yet; *on_result* receives the result or error."""
        if key not in self._requests:
            request = self._requests[key] = _Request(Call(method, arguments), on_result)
            self._workers.submit(key, request.call, urgent=False)

    def wait(self, key: Key) -> None:
        """Wait for the result of *key*, whose call becomes urgent, and of the calls of that key that follow."""
        while (request := self._requests.get(key)) is not None:
            if not request.urgent:
                request.urgent = True
                self._workers.promote(key)
            self.receive(wait=True)

    def receive(self, *, wait: bool = False) -> None:
        """Pass on the results that have arrived; raises SettingsError where a variable of the environment is invalid."""
        try:
            replies = self._workers.replies(wait=wait)
        except WorkersEnded:
            self._replace_workers()
            return
        for key, result in replies:
            if isinstance(result, SettingsError) or not is_expected(result):
                raise result
            request = self._requests.pop(key, None)
            if request is not None:
                request.on_result(result)

    def _replace_workers(self) -> None:
        """Continue with threads after the process was killed."""
        threads = self._threads()
        self._workers.close()
        self._workers = threads
        for key, request in self._requests.items():
            self._workers.submit(key, request.call, urgent=request.urgent)

    def run(self, key: Key, method: str, arguments: dict[str, Any]) -> Any:
        """The result of a *method* of Fetcher; raises its error."""
        results: list[Any] = []
        self.start(key, method, arguments, results.append)
        self.wait(key)
        (result,) = results
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """Cancel all calls; a page that is being written to the cache is completed."""
        self._workers.close()
