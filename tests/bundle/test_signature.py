"""Signatures of bundles, by ssh-keygen."""

import shutil
import subprocess
from pathlib import Path

import pytest

from minglibc.bundle.signature import sign, verify
from minglibc.errors import EnvironmentProblem, SettingsError

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen on this machine")


def test_verify(tmp_path: Path) -> None:
    """Only the signed content with a signature of this namespace by one of the signers is accepted."""
    for name in ("key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
        (tmp_path / f"{name}-signers").write_text(f"me@example.invalid {(tmp_path / f'{name}.pub').read_text()}")
    signature, signers = tmp_path / "signature", str(tmp_path / "key-signers")
    with pytest.raises(EnvironmentProblem, match="is not signed"):
        verify(b"content", str(signature), signers)
    signature.write_bytes(sign(b"content", str(tmp_path / "key")))
    assert verify(b"content", str(signature), signers) == "me@example.invalid"
    for content, file in ((b"changed", signers), (b"content", str(tmp_path / "other-signers"))):
        with pytest.raises(EnvironmentProblem, match="no valid signature by a signer in "):
            verify(content, str(signature), file)
    with pytest.raises(SettingsError, match="there is no file"):
        verify(b"content", str(signature), str(tmp_path / "missing"))
    # A signature that was made for another purpose.
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(tmp_path / "key"), "-n", "file"]
    signature.write_bytes(subprocess.run(command, input=b"content", capture_output=True, check=True).stdout)
    with pytest.raises(EnvironmentProblem, match="no valid signature"):
        verify(b"content", str(signature), signers)
