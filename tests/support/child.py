"""Runs minglibc in another process that is forked, because a new interpreter spends 0.3 s on imports."""

import gc
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# Imported once here, and not by each child.
import httpx  # noqa: F401

from minglibc.app import installation, lock, sync  # noqa: F401
from minglibc.index import fetch_process, fetch_threads, page_workers  # noqa: F401
from minglibc.install import unpack  # noqa: F401

ONE_CORE = frozenset({min(os.sched_getaffinity(0))})


def start(
    *arguments: str,
    cwd: Path | None = None,
    variables: Mapping[str, str] = {},
    cores: Iterable[int] = (),
    before: Callable[[], object] = lambda: None,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
) -> "subprocess.Popen[str]":
    """A process that runs minglibc with *arguments*, with *variables* in its environment, on *cores* if these are given.

    The process calls *before* first, which may replace functions. Tests of the start-up, of the locale and of limits need a new interpreter instead.
    """

    def run() -> None:
        os.environ.update(variables)
        if cores:
            os.sched_setaffinity(0, cores)
        _run(arguments, before)

    with warnings.catch_warnings():
        # The servers of a test are threads, which hold no lock that the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            [sys.executable],
            preexec_fn=run,  # noqa: PLW1509  it never returns, so the executable is not started
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )


def run(*arguments: str, timeout: float = 120, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run minglibc to its end; *options* are those of `start`."""
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _run(arguments: Sequence[str], before: Callable[[], object]) -> None:
    try:
        # Popen waits until its pipe is closed; the others belong to the tests.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        gc.freeze()  # objects of the tests would close the same numbers
        sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        logging.root.handlers.clear()  # those of pytest
        sys.argv = ["minglibc", *arguments]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()
        from minglibc.__main__ import main  # noqa: PLC0415  it handles signals from its import on

        main()
    finally:
        os._exit(1)
