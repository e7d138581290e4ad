"""Measures machines over ssh, several at once."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.resources import as_file, files
from threading import Event, Thread, Timer
from typing import IO, NamedTuple

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.fleet.inventory import Host
from minglibc.fleet.machine import Machine
from minglibc.fleet.measurement import read_measurement

# ssh asks nothing: a missing key or an unknown host key is an error of that host. Host keys are checked as configured.
_OPTIONS = ("BatchMode=yes", "ControlMaster=no", "ClearAllForwardings=yes")
_PARALLEL = 32
_LONGEST_OUTPUT = 100_000
_LONGEST_MESSAGE = 200
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
    expired = Event()

    def expire() -> None:
        expired.set()
        _kill(process)

    timer = Timer(timeout, expire)
    timer.start()
    try:
        output, errors = _communicate(process)
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process)
    if expired.is_set():
        raise EnvironmentProblem(f"{host.name}: no complete answer within {timeout:g} s")
    if code == _SSH_FAILED or (code and not output):
        last = (errors.strip().splitlines() or ["ssh failed"])[-1]
        raise EnvironmentProblem(f"{host.name}: {_NOT_PRINTABLE.sub(' ', last)[:_LONGEST_MESSAGE]}")
    return output


def _communicate(process: "subprocess.Popen[bytes]") -> tuple[str, str]:
    """The beginning of stdout and of stderr; what is beyond the limit is discarded."""
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[str] = []
    stderr = process.stderr
    reader = Thread(target=lambda: errors.append(_read(stderr)), daemon=True)
    reader.start()
    output = _read(process.stdout)
    reader.join()
    return output, "".join(errors)


def _read(stream: IO[bytes]) -> str:
    data = stream.read(_LONGEST_OUTPUT)
    while stream.read(_LONGEST_OUTPUT):
        pass
    return data.decode("utf-8", "replace")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
