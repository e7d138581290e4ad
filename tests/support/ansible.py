"""Ansible with the collection of this repository, installed outside of the test environment."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import oldglibc
from tests.support.oldglibc import Unavailable, cached

# The last lines of a result file belong to the last tasks.
_CALLBACK = """
import json
import os
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "notification", "results"
    def _write(self, status, result):
        if "RESULTS" in os.environ:
            with open(os.environ["RESULTS"], "a") as file:
                file.write(json.dumps([result.host.get_name(), status, dict(result.result)], default=str) + "\\n")
    def v2_runner_on_ok(self, result): self._write("ok", result)
    def v2_runner_on_failed(self, result, ignore_errors=False): self._write("failed", result)
    def v2_runner_on_unreachable(self, result): self._write("unreachable", result)
"""
COLLECTION = Path(__file__).parents[2] / "deploy" / "ansible"


@cache
def ansible() -> Path:
    """The folder of ansible-core and ansible-lint; raises Unavailable."""
    return cached(f"ansible-3.{sys.version_info.minor}-1", _install)


def _install(folder: Path) -> None:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-compile",
        "--target",
        str(folder),
        "ansible-core",
        "ansible-lint",
    ]
    outcome = oldglibc.run(pip)
    if outcome.returncode:
        raise Unavailable(f"Ansible can't be installed: {outcome.stderr[-300:]}")


class Controller:
    """A folder from which Ansible is started, with the collection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        programs = folder / ".programs"
        programs.mkdir(exist_ok=True)
        for name in ("ansible", "ansible-playbook", "ansible-galaxy", "ansible-lint", "ansible-doc"):
            # The scripts of `pip --target` start the interpreter that installed them.
            script = f'#!/bin/sh\nexec {sys.executable} {ansible()}/bin/{name} "$@"\n'
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        collections = folder / ".collections"
        destination = collections / "ansible_collections" / "minglibc" / "fleet"
        if not destination.exists():
            shutil.copytree(COLLECTION, destination, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".callbacks").mkdir(exist_ok=True)
        (folder / ".callbacks" / "results.py").write_text(_CALLBACK)
        self.variables = {
            "ANSIBLE_CALLBACK_PLUGINS": str(folder / ".callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.defpath}:/usr/sbin",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ansible()),
            "MINGLIBC_CACHE_DIR": oldglibc.ENVIRONMENT["MINGLIBC_CACHE_DIR"],
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_LOCAL_TEMP": str(folder / ".tmp"),
            "ANSIBLE_HOME": str(folder / ".ansible"),
            # The path of a socket has at most 108 bytes.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/tmp/minglibc-cp",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            **{name: value for name, value in os.environ.items() if name.startswith(("SSL_", "PIP_", "REQUESTS_"))},
        }

    def start(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """Start a program of Ansible in a session of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.variables | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, code: int | None = 0, **variables: str) -> str:
        """The output of a program of Ansible, which must end with *code*, or any code if that is None."""
        with self.start(*command, **variables) as process:
            output, _ = process.communicate(timeout=600)
        assert code is None or code == process.returncode, output
        return output

    def play(self, *arguments: str, code: int | None = 0) -> dict[str, dict[str, Any]]:
        """Run ansible-playbook; the result of each host's last task by host name, with its "status"."""
        log = self.folder / ".results"
        log.unlink(missing_ok=True)
        self.run("ansible-playbook", *arguments, code=code, RESULTS=str(log))
        lines = log.read_text().splitlines() if log.exists() else []
        return {host: {"status": status, **result} for host, status, result in map(json.loads, lines)}

    def write(self, name: str, text: str) -> Path:
        """Write a file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
