"""The number of processors."""

# Imported by a cold `lock` before it forks: only modules that Python has imported already.

import os


def usable_processors() -> int:
    """How many processors this process may use; all of them where the system does not say, as macOS."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
