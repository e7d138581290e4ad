"""`minglibc export`: its files contain what the lock selects, and pip installs exactly that."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement

from minglibc import lock as lock_package
from minglibc.model.targets import GlibcVersion, PythonVersion, Target, shortest_marker
from tests.support import oldglibc
from tests.support.commands import Ran, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import BuiltWheel, build_wheel

# Default tests use pip 18 with an index, and a pip from version 22 on with URLs.
DEFAULT_PIPS = [("3.9",)]
PINNED = re.compile(r"(?P<requirement>[^#]*?) --hash=(?P<hash>sha256:[0-9a-f]{64})")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project with a pure dependency that has an extra, and one with wheels above and within the cap."""
    publish(index)
    folder = write_project(
        tmp_path / "project",
        index,
        ["app", "native"],
        python=["3.9", "3.11"],
        architectures=["x86_64", "aarch64"],
        extras={"web": ["pure"]},
        groups={"dev": ["tool"]},
    )
    lock(folder)
    return folder


def publish(index: IndexServer) -> dict[str, BuiltWheel]:
    """Fill *index*; returns the wheels by file name."""
    wheels = [
        build_wheel("app", "1.0", requires=["pure[fast]>=1"]),
        build_wheel("pure", "1.0", provides_extra=["fast"], requires=['helper; extra == "fast"']),
        build_wheel("helper", "1.0+local.1"),
        build_wheel("tool", "3.0"),
    ]
    wheels += [
        build_wheel("native", "2.0", f"py3-none-{tag}", files={"native.py": f"tag = {tag!r}\n"})
        for tag in ("manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_34_x86_64", "manylinux2014_aarch64")
    ]
    for wheel in wheels:
        index.add(wheel)
    return {wheel.filename: wheel for wheel in wheels}


def export(folder: Path, *options: str) -> Ran:
    """Export the project in *folder*, which must succeed."""
    ran = minglibc("export", "--project", str(folder), *options)
    assert not ran.code, ran.err
    return ran


def lines_of(text: str) -> list[str]:
    """The lines with requirements."""
    return [line for line in text.splitlines() if line and not line.startswith(("#", "--"))]


def installed(text: str, target: Target) -> dict[str, str]:
    """What an installer of requirements.txt selects on *target*: the file's hash by name."""
    hashes = {}
    for line in lines_of(text):
        pinned = PINNED.fullmatch(line)
        requirement = Requirement(pinned["requirement"] if pinned else line)
        environment: dict[str, str] = target.environment
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in hashes
            hashes[requirement.name] = pinned["hash"] if pinned else line_digest(requirement.url or "")
    return hashes


def line_digest(url: str) -> str:
    """The hash at the end of a URL."""
    return url.rpartition("#")[2].replace("=", ":")


@pytest.mark.parametrize("style", [[], ["--pinned"]], ids=["direct", "index"])
def test_each_target_gets_its_selection(project: Path, style: list[str]) -> None:
    """The markers select, for each target, the wheels of the lock with their hashes."""
    text = export(project, *style).out
    lock_file = read_lock(project)
    for target in lock_file.targets:
        expected = {package.name: f"sha256:{wheel.hashes['sha256']}" for package, wheel in lock_file.select(target)}
        assert expected == installed(text, target)


def test_pip_options(project: Path) -> None:
    """A file of URLs requires hashes; a file for an index allows no source distributions."""
    assert ["--require-hashes"] == [line for line in export(project).out.splitlines() if line.startswith("--")]
    text = export(project, "--pinned").out
    assert ["--only-binary :all:"] == [line for line in text.splitlines() if line.startswith("--")]


def test_one_target_needs_no_markers(project: Path) -> None:
    """With --target the file has only that target's lines, without markers."""
    text = export(project, "--target", "cp39-aarch64-glibc2.17").out
    assert ";" not in text.partition("--require-hashes")[2]
    assert "manylinux2014_aarch64" in text
    assert "x86_64.whl" not in text


def test_markers_are_shortened(project: Path) -> None:
    """The marker of a wheel for one architecture only has the machine; a wheel for all targets has no marker."""
    lines = {line.partition(" ")[0]: line for line in lines_of(export(project).out) if "aarch64" not in line}
    assert lines["native"].endswith(" ; platform_machine == 'x86_64'")
    assert ";" not in lines["app"]


def test_extras_and_groups(project: Path) -> None:
    """Only named extras and groups are exported; an unknown one is an error that lists the known ones."""
    assert ["app", "helper", "native", "native", "pure"] == [line.split()[0] for line in lines_of(export(project).out)]
    assert "tool @ " in export(project, "--group", "dev").out
    assert "tool==3.0" in export(project, "--group", "dev", "--all-extras", "--pinned").out
    refused = minglibc("export", "--project", str(project), "--extra", "nope")
    assert 2 == refused.code
    assert "web" in refused.err


def test_only_groups(project: Path) -> None:
    """--only-group selects a group without the project's requirements, and needs the project to know them."""
    ran = export(project, "--only-group", "dev", "--all-extras", "--target", "cp311-x86_64-glibc2.17")
    assert {"tool"} == set(re.findall(r"^([a-z]+) ", ran.out, re.MULTILINE))
    ran = minglibc("export", "--project", str(project), "--only-group", "other")
    assert (2, "") == (ran.code, ran.out)
    assert "hint: it has dev" in ran.err
    (project / "pyproject.toml").unlink()
    ran = minglibc("export", "--only-group", "dev", "--frozen", "--lock", str(project / "pylock.toml"))
    assert 2 == ran.code
    assert "needs the pyproject.toml" in ran.err


def test_targets_with_the_same_marker(tmp_path: Path, index: IndexServer) -> None:
    """Targets with the same marker, such as 3.13 and 3.13t, are an error; --target selects one."""
    publish(index)
    folder = write_project(tmp_path, index, ["tool"], python=["3.13", "3.13t"])
    lock(folder)
    refused = minglibc("export", "--project", str(folder))
    assert 2 == refused.code
    assert "--target" in refused.err
    assert "tool @" in export(folder, "--target", "cp313t-x86_64-glibc2.17").out


def test_output_file(project: Path, tmp_path: Path) -> None:
    """-o writes the output to a file; a missing folder is an error."""
    ran = export(project, "-o", str(tmp_path / "requirements.txt"))
    assert not ran.out
    assert export(project).out == (tmp_path / "requirements.txt").read_text(encoding="utf-8")
    refused = minglibc("export", "--project", str(project), "-o", str(tmp_path / "none" / "r.txt"))
    assert 1 == refused.code
    assert "can't write" in refused.err


def test_stale_lock(project: Path) -> None:
    """A stale lock is an error, except with --frozen."""
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace('"native"', '"native", "tool"'))
    assert 1 == minglibc("export", "--project", str(project)).code
    assert "native @" in export(project, "--frozen").out


@pytest.mark.parametrize(
    ("python", "style"),
    [
        pytest.param(python, style, marks=() if (python, *style) in DEFAULT_PIPS else pytest.mark.slow)
        for python in ("3.6", "3.7", "3.8", "3.9")
        for style in ([], ["--pinned"])
    ],
)
def test_pip_installs_the_locked_files(tmp_path: Path, index: IndexServer, python: str, style: list[str]) -> None:
    """The pip of each old Python installs the locked files, and rejects a changed file."""
    wheels = publish(index)
    if python == "3.6":
        # Its pip 18.1 only supports manylinux1. Bundles contain a newer pip.
        index.remove("native-2.0-py3-none-manylinux2014_x86_64.whl")
    folder = write_project(tmp_path / "project", index, ["app", "native"], python=[python])
    lock(folder)
    file = tmp_path / "requirements.txt"
    export(folder, *style, "-o", str(file))
    site = tmp_path / "site"
    good = pip(python, index, site, file)
    assert not good.returncode, good.stderr
    expected = "manylinux1_x86_64" if python == "3.6" else "manylinux2014_x86_64"
    assert f"tag = {expected!r}\n" == (site / "native.py").read_text()
    assert {"app", "pure", "helper", "native.py"} == {
        path.name for path in site.iterdir() if path.suffix != ".dist-info" and path.name != "__pycache__"
    }
    if style and python != "3.6":
        return  # the hash is an option of the line, which pip checks
    changed = file.read_text().replace(wheels["helper-1.0+local.1-py3-none-any.whl"].sha256, "0" * 64)
    file.write_text(changed)
    assert "DO NOT MATCH THE HASHES" in pip(python, index, tmp_path / "other", file).stderr


def pip(python: str, index: IndexServer, site: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Install *file* into *site* with the pip that this Python has."""
    try:
        interpreter = oldglibc.interpreter(python)
    except oldglibc.Unavailable as reason:
        pytest.skip(str(reason))
    options = [
        "--no-cache-dir",
        "--no-compile",
        "--disable-pip-version-check",
        "--trusted-host",
        "127.0.0.1",
        "-i",
        index.url,
    ]
    ran = subprocess.run(
        [interpreter, "-I", "-m", "pip", "install", *options, "--target", site, "-r", file],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named pip" in ran.stderr:
        pytest.skip(f"{interpreter} has no pip")
    return ran


def test_cyclonedx_is_valid(project: Path) -> None:
    """The bill of materials passes the library's own strict validator, and names every package with purl and digest."""
    text = export(project, "--format", "cyclonedx").out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    components = {component["name"]: component for component in bill["components"]}
    assert ["app", "helper", "native", "pure"] == sorted(components)
    assert "pkg:pypi/app@1.0" == components["app"]["purl"]
    assert "SHA-256" == components["app"]["hashes"][0]["alg"]
    references = [reference["url"] for reference in components["native"]["externalReferences"]]
    assert 2 == len(references)
    assert [] == [url for url in references if not re.fullmatch(r"http://127\.0\.0\.1:\d+/[!-~]+", url)]
    assert "example" == bill["metadata"]["component"]["name"]
    depends = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert ["pkg:pypi/pure@1.0"] == depends["pkg:pypi/app@1.0"]
    assert ["pkg:pypi/app@1.0", "pkg:pypi/native@2.0"] == depends["project:example"]


def test_cyclonedx_is_reproducible(project: Path) -> None:
    """Two bills of one lock are the same bytes; of another part of it they have another serial number."""
    first, second = (export(project, "--format", "cyclonedx").out for _ in range(2))
    assert first == second
    assert "timestamp" not in first
    other = export(project, "--format", "cyclonedx", "--group", "dev").out
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]


def test_a_missing_library_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sbom extra, --format cyclonedx says what to install."""
    for name in [name for name in sys.modules if name.split(".")[0] == "cyclonedx" or name == "minglibc.lock.sbom"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(lock_package, "sbom", raising=False)
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    refused = minglibc("export", "--project", str(project), "--format", "cyclonedx")
    assert 1 == refused.code
    assert "minglibc[sbom]" in refused.err


def test_index_style_is_of_requirements_alone(project: Path) -> None:
    """--pinned with CycloneDX is a mistake of the command line."""
    assert 2 == minglibc("export", "--project", str(project), "--format", "cyclonedx", "--pinned").code


TARGETS = [
    Target(PythonVersion(minor), architecture, GlibcVersion(2, 17))
    for minor in (6, 9, 13)
    for architecture in ("x86_64", "aarch64", "s390x")
]


@given(st.lists(st.sampled_from(TARGETS), min_size=1, unique=True), st.data())
def test_shortened_markers_select_their_targets(targets: list[Target], data: st.DataObject) -> None:
    """Among the targets of an export, the marker of a wheel selects exactly the wheel's targets."""
    served = data.draw(st.lists(st.sampled_from(targets), min_size=1, unique=True))
    marker = shortest_marker(served, targets)
    for target in targets:
        environment: dict[str, str] = target.environment
        assert (target in served) == (not marker or Marker(marker).evaluate(environment))


def test_index_is_deprecated(project: Path) -> None:
    """--index still means --pinned, with a warning."""
    ran = export(project, "--index")
    assert export(project, "--pinned").out == ran.out
    assert "warning: --index is deprecated; use --pinned" in ran.err
