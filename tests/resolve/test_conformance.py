"""The resolver scenarios under uv and pip: where they answer otherwise than minglibc, the reason is on record."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.model.targets import GlibcVersion, PythonVersion, Target, compatible_tags
from tests.support.index import IndexServer
from tests.support.scenarios import FOLDER, Scenario, load, target_label

# The values of --python-platform that uv has for a glibc.
UV_CAPS = {"2.17", "2.28", *(f"2.{minor}" for minor in range(31, 41))}
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

# Why another installer answers otherwise; the scenario's own file says the same beside it.
DIFFERENCES: dict[tuple[str, str], str] = {
    (
        "uv",
        "prereleases/named-by-the-specifier",
    ): "uv takes a final release that meets the specifier before a newer pre-release",
    ("uv", "python/requires-python-upper-bound"): "uv ignores upper bounds of Requires-Python",
    ("uv", "python/newest-patch-release"): "uv reads 3.9 as 3.9.0",
    ("uv", "tags/linux-tag"): "uv takes a bare linux tag for a manylinux platform",
    (
        "uv",
        "yanked/yanked-and-pinned-by-a-dependency",
    ): "uv takes a yanked release only where the project itself pins it",
    ("uv", "yanked/quarantined"): "uv does not look at a project's status (PEP 792)",
    (
        "uv",
        "conflicts/invalid-requirement-of-an-extra",
    ): "uv refuses a direct reference of an extra that the answer does not use",
    ("pip", "conflicts/invalid-requirement-of-an-extra"): "pip refuses a direct reference that it can't fetch",
    ("pip", "conflicts/no-pre-release-without-its-requirement"): "pip keeps what a requirement admitted that is gone",
    ("pip", "conflicts/no-yanked-release-without-its-pin"): "pip keeps what a requirement admitted that is gone",
    ("pip", "conflicts/newest-of-a-cycle"): "pip keeps an older release than necessary after backtracking",
    (
        "pip",
        "conflicts/dependency-without-a-former-bound",
    ): "pip keeps an older release than necessary after backtracking",
    ("pip", "conflicts/root-before-its-dependency"): "pip keeps an older release than necessary after backtracking",
    ("pip", "yanked/quarantined"): "pip does not look at a project's status (PEP 792)",
}

Answer = dict[str, str] | None
"""Versions by name; None for a refusal."""


def find_uv() -> str | None:
    """The uv to ask: of the environment, or from PATH."""
    return os.environ.get("MINGLIBC_TEST_UV") or shutil.which("uv")


def find_pip() -> list[str] | None:
    """The pip to ask: that of the running Python."""
    command = [sys.executable, "-m", "pip"]
    return command if not subprocess.run([*command, "--version"], capture_output=True, check=False).returncode else None


def clean() -> dict[str, str]:
    """The environment without what others told uv and pip."""
    kept = {
        name: value for name, value in os.environ.items() if not re.match(r"(PIP|UV)_|.*_proxy$", name, re.IGNORECASE)
    }
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def requested(scenario: Scenario) -> list[str]:
    """All that the lock is for: the project's own requirements, its extras' and its groups'."""
    requirements = list(scenario.requires)
    for lists in (scenario.optional_dependencies, scenario.dependency_groups):
        requirements += [entry for entries in lists.values() for entry in entries if isinstance(entry, str)]
    return requirements


def ask_uv(uv: str, scenario: Scenario, label: str, index: IndexServer, folder: Path) -> Answer:
    """What uv resolves for a target."""
    python, architecture, cap = parted(label)
    (folder / "requirements.in").write_text("\n".join(requested(scenario)) + "\n", encoding="utf-8")
    command = [
        uv,
        "pip",
        "compile",
        "requirements.in",
        "--no-header",
        "--no-annotate",
        "--only-binary",
        ":all:",
        "--quiet",
    ]
    command += ["--index-url", index.url, "--python-version", python, "--cache-dir", str(folder / "uv-cache")]
    command += ["--python-platform", f"{architecture}-manylinux_{cap.replace('.', '_')}", "--python", sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=clean())
    if ran.returncode:
        return None
    pins = (line.partition(";")[0].strip() for line in ran.stdout.splitlines() if "==" in line)
    return dict(re.sub(r"\[.*\]", "", pin).split("==", 1) for pin in pins)


def ask_pip(pip: list[str], scenario: Scenario, label: str, index: IndexServer, folder: Path) -> Answer:
    """What pip resolves for a target of the running Python."""
    python, architecture, cap = parted(label)
    target = Target(PythonVersion.parse(python), architecture, GlibcVersion.parse(cap))
    platforms = dict.fromkeys(tag.rpartition("-")[2] for tag in compatible_tags(target) if "linux" in tag)
    command = [
        *pip,
        "install",
        "--dry-run",
        "--quiet",
        "--report",
        "-",
        "--ignore-installed",
        "--no-cache-dir",
        "--target",
        str(folder / "none"),
    ]
    command += [
        "--only-binary",
        ":all:",
        "--index-url",
        index.url,
        "--implementation",
        "cp",
        "--python-version",
        python,
    ]
    command += [argument for platform in platforms for argument in ("--platform", platform)]
    command += [argument for abi in (f"cp{python.replace('.', '')}", "abi3", "none") for argument in ("--abi", abi)]
    ran = subprocess.run(
        [*command, *requested(scenario)], capture_output=True, text=True, check=False, cwd=folder, env=clean()
    )
    if ran.returncode:
        return None
    return {item["metadata"]["name"]: item["metadata"]["version"] for item in json.loads(ran.stdout)["install"]}


def parted(label: str) -> tuple[str, str, str]:
    """Python, architecture and cap of a target's label."""
    match = re.fullmatch(r"cp(\d)(\d+)-(\w+)-glibc([\d.]+)", label)
    assert match is not None, label
    return f"{match[1]}.{match[2]}", match[3], match[4]


def comparable(scenario: Scenario, tool: str) -> list[str]:
    """The targets of which *tool* can be asked: uv knows some caps, pip takes markers from the Python that runs it."""
    included = any(not isinstance(entry, str) for entries in scenario.dependency_groups.values() for entry in entries)
    # Where targets share a fate, or a version, no other installer is asked the same thing.
    shared = len(scenario.targets) > 1 and (scenario.error or any(python.endswith("t") for python in scenario.python))
    if not requested(scenario) or scenario.settings or included or shared or scenario.musl:
        return []
    labels = [
        (python, target_label(python, architecture, f"glibc{cap}"), cap, architecture)
        for python in scenario.python
        for architecture, cap in scenario.caps(scenario.glibc)
        if re.fullmatch(r"3\.\d+", python) and architecture in {"x86_64", "aarch64"}
    ]
    if tool == "uv":
        return [label for _, label, cap, _ in labels if cap in UV_CAPS]
    return [
        label for python, label, _, architecture in labels if python == RUNNING and architecture == os.uname().machine
    ]


CASES = [
    pytest.param(tool, scenario, id=f"{tool}-{scenario.id}")
    for tool in ("uv", "pip")
    for scenario in load()
    if comparable(scenario, tool)
]


@pytest.mark.online
@pytest.mark.parametrize(("tool", "scenario"), CASES)
def test_others_agree(tool: str, scenario: Scenario, index: IndexServer, tmp_path: Path) -> None:
    """uv and pip answer a scenario as minglibc does, or the difference and its reason are on record, and still true."""
    uv, pip = (find_uv(), None) if tool == "uv" else (None, find_pip())
    if not uv and not pip:
        pytest.skip(f"there is no {tool} here")
    scenario.serve(index)
    for label in comparable(scenario, tool):
        answer = (
            ask_uv(uv, scenario, label, index, tmp_path) if uv else ask_pip(pip or [], scenario, label, index, tmp_path)
        )
        expected = None if scenario.error else dict(scenario.expected[label])
        if (tool, scenario.id) not in DIFFERENCES:
            assert expected == answer, label
        elif expected != answer:
            return
    if (tool, scenario.id) in DIFFERENCES:
        pytest.fail(f"{tool} agrees by now: the entry is out of date")


def test_every_difference_is_told_beside_its_scenario() -> None:
    """Each difference is of a scenario that exists, whose file says the same in the comment above it."""
    for tool, name in DIFFERENCES:
        file, _, scenario = name.partition("/")
        text = (FOLDER / f"{file}.toml").read_text(encoding="utf-8")
        comment = text[: text.index(f"\n[{scenario}]\n")].rpartition("\n")[2]
        assert comment.startswith("# Differs: ")
        assert tool in comment
