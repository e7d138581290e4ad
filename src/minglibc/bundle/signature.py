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


def verify(content: bytes, signature: str, signers: str) -> str:
    """Who of *signers*, an allowed-signers file, signed *content*; raises EnvironmentProblem without a valid signature."""
    folder = os.path.dirname(signature)
    if not os.path.isfile(signature):
        raise EnvironmentProblem(f"{folder} is not signed", hint="create it with `bundle --sign KEY`")
    if not os.path.isfile(signers):
        raise SettingsError(f"there is no file {signers}")
    files = ["-s", os.path.abspath(signature), "-f", os.path.abspath(signers)]
    try:
        find = ["ssh-keygen", "-Y", "find-principals", *files]
        output = subprocess.run(find, capture_output=True, check=False).stdout
        signer = (output.decode("utf-8", "replace").splitlines() or [""])[0]
        command = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", signer, *files]
        if not signer or subprocess.run(command, input=content, capture_output=True, check=False).returncode:
            raise EnvironmentProblem(f"{folder} has no valid signature by a signer in {signers}")
    except FileNotFoundError as error:
        raise EnvironmentProblem("ssh-keygen was not found", hint="install OpenSSH's client") from error
    return signer
