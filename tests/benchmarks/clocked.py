"""Run minglibc by the clock of each thread's processor: what of a command's own time is spent where.

Its text is the program of a child: `python -c TEXT RESULT COMMAND...`. It runs on one core, where minglibc forks no second
process, so that all work is seen. What a part calls is that part's, unless it is a part itself.
"""

import time

_started = time.process_time()

import functools  # noqa: E402  the interpreter's start is over only now
import os  # noqa: E402
import sys  # noqa: E402
from _thread import _local  # noqa: E402
from collections.abc import Callable  # noqa: E402
from importlib import _bootstrap  # noqa: E402
from typing import Any  # noqa: E402

START, REST, HTTPX = "interpreter, start", "all else", "import, httpx and what it needs"
BELOW_HTTPX = frozenset(("httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio"))
OTHERS = frozenset(("packaging", "msgspec", "minglibc"))
# The functions of a module, and of which part they are.
PARTS = {
    "minglibc.index.connection": {"Connection.send": "requests, by httpx"},
    "minglibc.index.pages": {"read_page": "pages, decoded and sorted"},
    "minglibc.index.fetcher": {"parse_metadata": "metadata, parsed"},
    "minglibc.cache.pages": {
        **dict.fromkeys(("Store.read", "Store.recall"), "cache, read"),
        **dict.fromkeys(("Store.write", "Store.note", "Store.confirm", "Store.close"), "cache, written"),
    },
    "minglibc.resolve.prefetch": dict.fromkeys(("Speculation.page", "Speculation.metadata"), "looking ahead"),
    "minglibc.resolve.multi_target": {"resolve_all": "resolution"},
    "minglibc.lock.document": dict.fromkeys(("merge", "dumps"), "lock, written"),
}

spent: dict[str, float] = {}
_thread = _local()


def _charge(part: str | None) -> None:
    """Add this thread's time since the last call to its current part; *part*, or the previous one, is the current part then."""
    now = time.thread_time()
    stack: list[str] = _thread.__dict__.setdefault("stack", [REST])
    spent[stack[-1]] = spent.get(stack[-1], 0.0) + now - _thread.__dict__.get("last", 0.0)
    if part is None:
        stack.pop()
    else:
        stack.append(part)
    _thread.last = now


def timed(part: str | Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
    """*function*, whose time is added to *part*."""

    @functools.wraps(function)
    def run(*arguments: Any, **more: Any) -> Any:
        _charge(part if isinstance(part, str) else part(*arguments))
        try:
            return function(*arguments, **more)
        finally:
            _charge(None)

    return run


def _importing(name: str, *rest: Any) -> str:
    package = name.partition(".")[0]
    # Modules of the standard library that httpx imports first count as part of it.
    if package in BELOW_HTTPX or (package not in OTHERS and HTTPX in _thread.__dict__.get("stack", ())):
        return HTTPX
    return f"import, {package if package in OTHERS else 'standard library'}"


def _wrap(name: str, module: Any) -> None:
    for path, part in PARTS.get(name, {}).items():
        owner, _, attribute = path.rpartition(".")
        target = getattr(module, owner) if owner else module
        setattr(target, attribute, timed(part, getattr(target, attribute)))


def _watch_imports() -> None:
    load = timed(_importing, _bootstrap._find_and_load_unlocked)  # type: ignore[attr-defined]  # no public function covers all imports

    def watched(name: str, import_: Any) -> Any:
        module = load(name, import_)
        # Other modules import its names later.
        _wrap(name, module)
        return module

    _bootstrap._find_and_load_unlocked = watched  # type: ignore[attr-defined]  # as above


def main() -> None:
    """Run the command, and write the time of each part to the file RESULT."""
    result, *command = sys.argv[1:]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    _watch_imports()
    _thread.last = time.thread_time()
    _thread.stack = [REST]
    from minglibc.cli import main as run  # noqa: PLC0415  its import is measured

    code = run(command)
    _charge(REST)
    spent[START] = _started
    whole = time.process_time()
    spent[REST] = whole - sum(each for part, each in spent.items() if part != REST)
    with open(result, "w", encoding="utf-8") as file:
        file.write("".join(f"{seconds}\t{part}\n" for part, seconds in spent.items()))
    sys.exit(code)


if __name__ == "__main__":
    main()
