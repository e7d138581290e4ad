"""The errors that users see: a message with the problem, a hint with the solution, and an exit code."""

EXIT_CANNOT = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_STOPPED = 4


class MinglibcError(Exception):
    """Base class of all errors that are shown to users, as plain text and without a traceback."""

    exit_code = EXIT_CANNOT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.source_only: tuple[str, ...] = ()
        """The packages that would have to be built from source."""


class SettingsError(MinglibcError):
    """pyproject.toml, another input file or the command line is invalid."""

    exit_code = EXIT_USAGE


class TargetError(SettingsError):
    """A C library version, a Python version or an architecture that does not exist."""


class IndexUnreachable(MinglibcError):
    """An index can't be reached, so it is unknown what it has."""

    exit_code = EXIT_UNREACHABLE


class IndexAnswerError(IndexUnreachable):
    """An index sent an invalid response."""


class CacheDamaged(MinglibcError):
    """A cached page that is in use is damaged; it was removed, and the command has to be started again."""


class ProjectNotFound(MinglibcError):
    """The index does not have this project (404 or 410)."""


class ResolutionError(MinglibcError):
    """No set of wheels satisfies the requirements within the cap."""


class SearchStopped(ResolutionError):
    """The search for a set of wheels took too long, so it is unknown whether there is one."""

    exit_code = EXIT_STOPPED


class LockError(MinglibcError):
    """A lock that is missing, damaged, edited, stale, or made by a newer minglibc."""


class StaleLock(LockError):
    """A lock whose project, script or requirements have changed since it was made."""


class NewerLock(LockError):
    """A lock in a newer format, which must not be overwritten."""


class WheelError(MinglibcError):
    """A file that is not the locked one or not a valid wheel; nothing of it was installed."""


class EnvironmentProblem(MinglibcError):
    """A machine, interpreter or environment that the lock can't be installed on."""
