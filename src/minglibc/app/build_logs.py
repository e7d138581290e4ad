"""The log of each build, in the cache: the complete output of its backend."""

import os
import re

from minglibc.cache.built_wheels import LOGS
from minglibc.cache.location import make_folders
from minglibc.config.files import replace_file


def new_log(cache: str, label: str, builder: str) -> str:
    """The path of a new log, which starts with what is built; empty where the folder *cache* can't be written."""
    folder = os.path.join(cache, LOGS)
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", label)[-80:].strip("-.")
    path = os.path.join(folder, f"{name}-{builder}.log")
    try:
        make_folders(folder)
        replace_file(path, f"{label}: {builder}\n".encode(errors="replace"))
    except OSError:
        return ""
    return path
