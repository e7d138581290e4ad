"""``--allow-sdist``: packages without a wheel are added to the setting ``allow-sdist``, and the project is resolved again."""

from collections.abc import Callable, Collection
from typing import TypeVar

from minglibc.app.lenient_settings import table
from minglibc.app.lock_request import LockRequest
from minglibc.app.reporter import Reporter
from minglibc.config import edit, project_files
from minglibc.errors import MinglibcError
from minglibc.model.requirements import normalize_name

_Result = TypeVar("_Result")


def resolve_with_sources(
    request: LockRequest,
    resolve: Callable[[LockRequest, Reporter], _Result],
    reporter: Reporter,
    *,
    packages: Collection[str] = (),
    all_needed: bool = False,
) -> tuple[LockRequest, _Result]:
    """The result of *resolve* for the request that allows *packages* to be built; nothing is written.

    With *all_needed*, these are all packages that have no wheel. Each is reported before it is built.
    """
    request = allowing(request, set(map(normalize_name, packages)))
    reporter = _OnceReporter(reporter)
    while True:
        try:
            return request, resolve(request, reporter)
        except MinglibcError as error:
            names = set(error.source_only) - _allowed(request) if error.source_only and all_needed else set()
            if not names:
                raise
        reporter.info(f"No wheel, allowed to be built from source: {', '.join(sorted(names))}")
        request = allowing(request, names)


def allowing(request: LockRequest, names: Collection[str]) -> LockRequest:
    """*request* with *names* in ``allow-sdist``: of its pyproject.toml, or of what the lock of other files records."""
    allowed = _allowed(request)
    if not set(names) - allowed:
        return request
    if request.source.is_project:
        loaded = request.loaded
        if loaded is not None:
            loaded = loaded._replace(pyproject=edit.allow_sdist(loaded.pyproject, names))
        return request._replace(pyproject=edit.allow_sdist(request.pyproject, names), loaded=loaded)
    overrides = request.overrides._replace(allow_sdist=tuple(sorted(allowed | set(names))))
    return request._replace(overrides=overrides, source=request.source.with_given(overrides.given))


def _allowed(request: LockRequest) -> frozenset[str]:
    try:
        return request.settings().allow_sdist
    except MinglibcError as error:
        if not error.source_only:
            raise
    # The dependencies of the project itself are unknown until it may be built; its other settings are valid.
    listed = table(request.pyproject, "tool", "minglibc").get("allow-sdist", [])
    return frozenset(map(normalize_name, listed))


def write_both(request: LockRequest, original: str, lock: str, reporter: Reporter) -> None:
    """Write pyproject.toml, whose text was *original*, and the lock; both or neither."""
    project_files.check_pyproject_path(request.folder)
    project_files.write_pyproject(request.folder, request.pyproject)
    try:
        project_files.write_lock(request.path, lock)
    except BaseException:
        project_files.write_pyproject(request.folder, original)
        raise
    reporter.info("Added the packages to tool.minglibc.allow-sdist in pyproject.toml")


class _OnceReporter:
    """Passes each message on once: a repeated resolution repeats them."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._messages: set[str] = set()
        self.resolving = reporter.resolving
        self.trying = reporter.trying
        self.fetching = reporter.fetching
        self.downloading = reporter.downloading
        self.building = reporter.building
        self.installing = reporter.installing
        self.details = reporter.details

    def info(self, message: str, *, level: int = 0) -> None:
        """Pass *message* on, unless it has been."""
        if message not in self._messages:
            self._messages.add(message)
            self._reporter.info(message, level=level)

    def warn(self, message: str) -> None:
        """Pass *message* on, unless it has been."""
        if message not in self._messages:
            self._messages.add(message)
            self._reporter.warn(message)
