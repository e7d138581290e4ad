"""This process and its children: the ways between them, what is said there, and how a child keeps to itself."""

import marshal
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

_LENGTH = 8
_MOST_AT_ONCE = 1 << 18


def ways(number: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """The ends of so many ways on one side, and those on the other."""
    ours, theirs = zip(*(socket.socketpair() for _ in range(number)), strict=True)
    return list(ours), list(theirs)


def close(ends: Iterable[socket.socket]) -> None:
    """Leave *ends* to whoever else has them."""
    for end in ends:
        end.close()


def lonely() -> None:
    """Hold open nothing that whoever called the first process waits for, and leave Ctrl-C to that one, which hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(OSError, ValueError):
                os.dup2(nothing, stream.fileno())


def framed(value: Any) -> bytes:
    """*value* as it is sent; numbers, texts, bytes, None, and tuples, lists and dicts of them."""
    data = marshal.dumps(value)
    return len(data).to_bytes(_LENGTH, "big") + data


def received(stream: BinaryIO) -> Any:
    """What the other one says next; None where it has hung up."""
    length = int.from_bytes(stream.read(_LENGTH), "big")
    data = stream.read(length)
    return marshal.loads(data) if length and len(data) == length else None  # noqa: S302  from our own parent or child


class Inbox:
    """What comes over a socket, as far as it is whole."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._data = bytearray()
        self.is_over = False

    def read(self, *, wait: bool) -> Iterator[Any]:
        """What has come, as far as it is whole; with *wait* when something comes, or all is over."""
        try:
            found = self._source.recv(_MOST_AT_ONCE, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        self.is_over = not found
        self._data += found
        yield from self._whole()

    def _whole(self) -> Iterator[Any]:
        start, data = 0, self._data
        while len(data) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "big")
            if end > len(data):
                break
            with memoryview(data) as view:
                value = marshal.loads(view[start + _LENGTH : end])  # noqa: S302  from our own parent or child
            start = end
            yield value
        del data[:start]
