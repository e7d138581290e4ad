"""Runs `minglibc check`, and creates environments to check."""

import sys
import venv
from pathlib import Path

from tests.support.commands import Ran, minglibc
from tests.support.explained import Project


def check(project: Project, *arguments: str) -> Ran:
    """Run `check` for the project, without the options for an index, which it does not have."""
    return minglibc("check", "--project", str(project.folder), *arguments)


def make_environment(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """Create an environment with one distribution as pip installs it; returns its site-packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp39-abi3-manylinux_2_34_x86_64\n", encoding="utf-8")
    (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
    record = "".join(f"{path},,\n" for path in [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"])
    (info / "RECORD").write_text(record, encoding="utf-8")
    return site
