"""Wheels of the public index: understated tags are found, and accurate ones have no finding."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

import pytest

from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary, Finding, Kind, audit, highest_glibc, tally, wheel_binaries
from minglibc.model.targets import GlibcVersion, platform_tags

pytestmark = pytest.mark.online

large = pytest.mark.skipif("MINGLIBC_ONLINE_ALL" not in os.environ, reason="above 30 MB: set MINGLIBC_ONLINE_ALL")

X86_64 = (
    "bcrypt==5.0.0",
    "cffi==2.1.1",
    "cryptography==50.0.2",
    "frozenlist==1.8.0",
    "markupsafe==3.0.4",
    "msgpack==1.2.4",
    "multidict==7.2.1",
    "psutil==7.2.2",
    "pynacl==1.6.2",
    "pyyaml==6.0.3",
    "rpds-py==2026.9.1",
    "wrapt==2.5.2",
    "zstandard==0.25.0",
)
# Architecture, Python, cap to download for, wheels.
ACCURATE = [
    ("x86_64", "3.11", GlibcVersion(2, 34), X86_64),
    ("x86_64", "3.12", GlibcVersion(2, 17), tuple(name for name in X86_64 if not name.startswith("psutil"))),
    ("aarch64", "3.13", GlibcVersion(2, 34), X86_64),
    ("i686", "3.11", GlibcVersion(2, 17), ("cffi==2.1.1", "multidict==7.2.1", "rpds-py==2026.9.1")),
    (
        "ppc64le",
        "3.11",
        GlibcVersion(2, 34),
        ("cffi==2.1.1", "cryptography==50.0.2", "frozenlist==1.8.0", "multidict==7.2.1", "rpds-py==2026.9.1"),
    ),
    (
        "s390x",
        "3.11",
        GlibcVersion(2, 34),
        ("cffi==2.1.1", "frozenlist==1.8.0", "multidict==7.2.1", "rpds-py==2026.9.1"),
    ),
    ("armv7l", "3.11", GlibcVersion(2, 34), ("cryptography==50.0.2", "frozenlist==1.8.0", "rpds-py==2026.9.1")),
    ("riscv64", "3.13", GlibcVersion(2, 39), ("markupsafe==3.0.4",)),
]


def download(
    to: Path, requirements: Iterable[str], architecture: str, python: str = "3.11", cap: GlibcVersion | None = None
) -> list[Path]:
    """The wheels that pip selects for such a machine."""
    abi = f"cp{python.replace('.', '')}"
    platforms = platform_tags(architecture, cap or GlibcVersion(2, 36))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(to)]
    command += ["--python-version", python, "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
    command += [f"--platform={platform}" for platform in platforms]
    # Local folders of wheels are not the public index.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([*command, *requirements], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(to.glob("*.whl"))


def own_glibc(wheel: Path, architecture: str) -> GlibcVersion:
    """The lowest glibc that the tags of *wheel* name."""
    platforms = wheel.stem.rpartition("-")[2].split(".")
    return min(GlibcVersion.parse(platform.removesuffix(f"_{architecture}")) for platform in platforms)


def checked_at_its_tag(wheel: Path, architecture: str) -> tuple[list[Binary], list[Finding]]:
    """The binaries of *wheel*, and the findings of an audit at its own tag."""
    with ZipFile(wheel) as archive:
        binaries = list(wheel_binaries(wheel.name.partition("-")[0], archive))
    return binaries, audit(binaries, [architecture], own_glibc(wheel, architecture))


@pytest.mark.parametrize(
    ("understated", "files", "version"),
    [
        ("pounce-solver==0.9.0", {"pounce/bin/pounce"}, "GLIBC_2.39"),
        (
            "moraine-cli==0.4.2rc1",
            {f"moraine_cli/_binaries/moraine{name}" for name in ("", "-ingest", "-mcp", "-monitor")},
            "GLIBC_2.39",
        ),
        ("pyscn==1.31.1", {"pyscn/bin/pyscn-linux-amd64", "pyscn/bin/pyscn-mcp-linux-amd64"}, "GLIBC_2.34"),
        ("lightgbm==3.3.1", {"lightgbm/lib_lightgbm.so"}, "GLIBC_2.14"),
        pytest.param("nodejs-bin==18.4.0a4", {"nodejs/bin/node"}, "GLIBC_2.28", marks=large),
        pytest.param("playwright==1.40.0", {"playwright/driver/node"}, "GLIBC_2.28", marks=large),
    ],
)
def test_understated_tags_are_found(tmp_path: Path, understated: str, files: set[str], version: str) -> None:
    """Wheels known to need more than their tag says have findings with their files and versions."""
    (wheel,) = download(tmp_path, [understated], "x86_64")
    _, findings = checked_at_its_tag(wheel, "x86_64")
    of_glibc = [finding for finding in findings if finding.kind is Kind.GLIBC]
    assert files == {finding.path for finding in of_glibc}
    assert version in {finding.version for finding in of_glibc}
    assert all(finding.symbols for finding in of_glibc)


@pytest.mark.parametrize(
    ("accurate", "needs"), [("greenlet==3.3.2", GlibcVersion(2, 14)), ("libclang==18.1.1", GlibcVersion(2, 6))]
)
def test_wheels_may_need_less_than_their_tag(tmp_path: Path, accurate: str, needs: GlibcVersion) -> None:
    """A wheel that needs less than its tag says has no finding."""
    (wheel,) = download(tmp_path, [accurate], "x86_64")
    binaries, findings = checked_at_its_tag(wheel, "x86_64")
    assert not findings
    elves = [binary.content for binary in binaries if isinstance(binary.content, ElfFile)]
    assert needs == max(version for elf in elves if (version := highest_glibc(elf)))


@pytest.mark.parametrize(
    ("architecture", "python", "cap", "requirements"),
    ACCURATE,
    ids=[f"{architecture}-{python}" for architecture, python, *_ in ACCURATE],
)
def test_accurate_tags_have_no_finding(
    tmp_path: Path, architecture: str, python: str, cap: GlibcVersion, requirements: tuple[str, ...]
) -> None:
    """No compiled wheel of these has a finding at its own tag's glibc, and each has binaries."""
    wheels = download(tmp_path, requirements, architecture, python, cap)
    assert len(requirements) == len(wheels)
    for wheel in wheels:
        binaries, findings = checked_at_its_tag(wheel, architecture)
        assert (wheel.name, []) == (wheel.name, findings)
        assert tally(binaries, [architecture]).checked
        assert any(binary.content.needs for binary in binaries if isinstance(binary.content, ElfFile))


def test_fifty_wheels_are_checked() -> None:
    """The test above has fifty wheels."""
    assert sum(len(requirements) for *_, requirements in ACCURATE) >= 50
