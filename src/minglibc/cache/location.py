"""Where the cache is."""

# The fast path of `lock` imports this: os, and nothing that costs more.

import os


def default_folder() -> str:
    """The user's cache folder for minglibc (XDG base directories), as platformdirs has it, whose import takes 20 ms."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(root if os.path.isabs(root) else os.path.expanduser("~/.cache"), "minglibc")
