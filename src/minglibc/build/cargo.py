"""Crates of Rust packages, fetched before a build that has no network."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

from minglibc.build.isolation import Isolation
from minglibc.build.running import started

_SECONDS = 600
_DEPTH = 3


def fetch_crates(folder: str, isolation: Isolation) -> None:
    """Fetch the crates that each Cargo.lock below *folder* names; what fails is in the log, and the build reports it."""
    if shutil.which("cargo") is None:
        return
    environment = {**isolation.environment, "CARGO_NET_OFFLINE": "false"}
    for directory in _locked_crates(folder):
        with open(isolation.log or os.devnull, "ab", buffering=0) as log, suppress(OSError):
            try:
                with started(
                    ["cargo", "fetch", "--locked"],
                    cwd=directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                ) as process:
                    process.wait(_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                log.write(f"cargo fetch: {error}\n".encode(errors="replace"))


def _locked_crates(folder: str) -> Iterator[str]:
    """The folders with a Cargo.lock, except those of crates that the package contains."""
    for here, folders, names in os.walk(folder):
        depth = os.path.relpath(here, folder).count(os.sep) + (here != folder)
        is_package = "Cargo.lock" in names and "Cargo.toml" in names
        if is_package:
            yield here
        folders[:] = [] if is_package or depth >= _DEPTH else sorted(folders)
