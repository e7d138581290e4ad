"""What can go wrong: a message that says what and where, a hint that says what to do, an exit code."""

EXIT_CANNOT = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3


class MinglibcError(Exception):
    """Base of every error that a user is meant to read; carries no markup and no traceback."""

    exit_code = EXIT_CANNOT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(MinglibcError):
    """pyproject.toml or the command line says something that minglibc can't take."""

    exit_code = EXIT_USAGE


class TargetError(SettingsError):
    """A glibc version, Python or architecture that no machine has."""


class IndexUnreachable(MinglibcError):
    """An index could not be asked; says nothing about what it holds."""

    exit_code = EXIT_UNREACHABLE


class IndexAnswerError(IndexUnreachable):
    """An index answered, and the answer can't be used as it is."""


class CacheDamaged(MinglibcError):
    """A cached page turned out to be damaged after it was taken; it is gone now, and the command has to begin again."""


class ProjectNotFound(MinglibcError):
    """The index was asked and doesn't know this project (404 or 410)."""


class ResolutionError(MinglibcError):
    """No set of wheels meets the requirements within the cap."""


class LockError(MinglibcError):
    """A lock that is missing, damaged, edited, stale, or of a newer minglibc."""


class WheelError(MinglibcError):
    """A wheel whose bytes are not what they should be; nothing of it was written."""


class EnvironmentProblem(MinglibcError):
    """A machine, interpreter or environment that the lock can't be installed on."""
