"""Signatures of bundles, by OpenSSH's ssh-keygen (sshsig)."""

import os
import subprocess

from minglibc.errors import EnvironmentProblem, SettingsError

# install.sh verifies signatures of this namespace only: one that was made for another purpose is not valid for a bundle.
NAMESPACE = "minglibc-bundle"


def sign(content: bytes, key: str) -> bytes:
    """The signature of *content* by the private key in the file *key*; raises SettingsError, EnvironmentProblem."""
    if not os.path.isfile(key):
        raise SettingsError(f"there is no key {key}", hint="`ssh-keygen -t ed25519 -f KEY` creates one")
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", os.path.abspath(key), "-n", NAMESPACE]
    try:
        # ssh-keygen asks for a passphrase on the terminal.
        process = subprocess.run(command, input=content, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise EnvironmentProblem("ssh-keygen was not found", hint="install OpenSSH's client") from error
    if process.returncode or not process.stdout:
        reason = process.stderr.decode("utf-8", "replace").strip().splitlines() or ["ssh-keygen failed"]
        raise EnvironmentProblem(f"the bundle can't be signed with {key}: {reason[-1]}")
    return process.stdout
