"""Measures machines over ssh, several at once."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from importlib.resources import as_file, files
from typing import NamedTuple

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.fleet.inventory import Host
from minglibc.fleet.machine import Machine
from minglibc.fleet.measurement import read_measurement

# ssh asks nothing: a missing key or an unknown host key is an error of that host. Host keys are checked as configured.
_OPTIONS = ("BatchMode=yes", "ControlMaster=no", "ClearAllForwardings=yes")
_PARALLEL = 32
_LONGEST_OUTPUT = 100_000
_LONGEST_MESSAGE = 200
# Seconds for output that is still in a pipe when ssh has ended.
_LINGER = 0.2
_SSH_FAILED = 255
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")


class Measurement(NamedTuple):
    """The outcome for one host: a machine, or why it could not be measured."""

    host: Host
    machine: Machine | None = None
    problem: str = ""


def measure_all(hosts: Sequence[Host], *, timeout: float) -> list[Measurement]:
    """The measurement of each of *hosts*, in their order; each takes at most *timeout* seconds. Raises SettingsError without ssh."""
    with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(hosts) or 1)) as pool:
        return list(pool.map(partial(_measure, timeout=timeout), hosts))


def _measure(host: Host, timeout: float) -> Measurement:
    try:
        return Measurement(host, read_measurement(host.name, _output(host, timeout)))
    except EnvironmentProblem as error:
        return Measurement(host, problem=error.message)


def _output(host: Host, timeout: float) -> str:
    """What measure.sh prints on *host*; raises EnvironmentProblem, SettingsError."""
    options = [argument for option in _OPTIONS for argument in ("-o", option)]
    options += ["-o", f"ConnectTimeout={max(1, int(timeout))}", *(("-p", str(host.port)) if host.port else ())]
    # From a file: with a pipe, a host that reads nothing would end this process by SIGPIPE.
    with as_file(files("minglibc.fleet") / "measure.sh") as path, path.open("rb") as script:
        try:
            process = subprocess.Popen(
                ["ssh", "-T", *options, "--", host.address, "exec sh -s"],
                stdin=script,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SettingsError("ssh was not found", hint="install OpenSSH's client") from error
    deadline = time.monotonic() + timeout
    try:
        output, errors = _communicate(process, deadline)
        code = process.wait(max(deadline - time.monotonic(), 0))
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"{host.name}: no complete answer within {timeout:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code == _SSH_FAILED or (code and not output):
        last = (errors.strip().splitlines() or ["ssh failed"])[-1]
        raise EnvironmentProblem(f"{host.name}: {_NOT_PRINTABLE.sub(' ', last)[:_LONGEST_MESSAGE]}")
    return output


def _communicate(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[str, str]:
    """The beginning of stdout and of stderr until *process* ends; raises TimeoutError. What is beyond the limit is discarded."""
    outputs = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for stream in outputs:
            assert stream is not None
            selector.register(stack.enter_context(stream), selectors.EVENT_READ)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            # A process in the background can keep a pipe open after ssh has ended.
            ended = process.poll() is not None
            ready = selector.select(min(remaining, _LINGER))
            for key, _ in ready:
                data = os.read(key.fd, _LONGEST_OUTPUT)
                output = outputs[key.fileobj]  # type: ignore[index]
                output += data[: _LONGEST_OUTPUT - len(output)]
                if not data:
                    selector.unregister(key.fileobj)
            if ended and not ready:
                break
    texts = (output.decode("utf-8", "replace") for output in outputs.values())
    return next(texts), next(texts)
