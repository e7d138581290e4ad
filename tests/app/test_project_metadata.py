"""Dependencies of the project that only its build backend can tell are built on request."""

from pathlib import Path

import pytest

from minglibc.app.project_metadata import fields_of
from minglibc.config.parser import parse
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.requirements import Environment
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PYPROJECT = """[project]
name = "{name}"
version = "1"
requires-python = ">=3.9"
dynamic = ["dependencies", "optional-dependencies"]
[build-system]
requires = []
build-backend = "pdm_build"
backend-path = ["."]
"""
TABLE = '[tool.minglibc]\nglibc = "2.28"\npython = ["3.11"]\nindex-url = "{url}"\n'
BACKEND = """
import os
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    home = os.path.join(folder, "{name}-1.dist-info")
    os.makedirs(home)
    lines = ["Metadata-Version: 2.4", "Name: {name}", "Version: 1", "Requires-Dist: {requires}"]
    lines += ["Provides-Extra: more", "Requires-Dist: other ; extra == 'more'"]
    open(os.path.join(home, "METADATA"), "w").write("\\n".join(lines) + "\\n")
    return "{name}-1.dist-info"
"""


def write(folder: Path, name: str, *, requires: str, settings: str = "") -> None:
    """A project whose backend is in its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name) + settings, encoding="utf-8")
    (folder / "pdm_build.py").write_text(BACKEND.format(name=name, requires=requires), encoding="utf-8")


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("extra == 'x'", {"x"}),
        ('extra == "X"', {"x"}),
        ("python_version > '3.0' and extra == 'x'", {"x"}),
        ("(python_version < '3') and extra == 'x'", set()),
        ("extra == 'x' or extra == 'y'", {"x", "y"}),
        ("(extra == 'x') and (python_version > '3')", {"x"}),
    ],
)
def test_extras(marker: str, expected: set[str]) -> None:
    """A requirement belongs to each extra that its marker names, with the rest of the marker."""
    metadata = CoreMetadata("demo", "1", ("plain>=1", f"dep[a]>=2 ; {marker}"), ">=3.9", ("X", "y"))
    head = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\ndynamic = ["dependencies", "optional-dependencies"]\n'
    table = '[tool.minglibc]\nglibc = "2.28"\npython = "3.11"\nallow-sdist = ["Demo"]\n'
    unbuilt = parse(head + table, folder="/nowhere")
    assert (unbuilt.unbuilt, unbuilt.requirements) == (("dependencies", "optional-dependencies"), ())
    settings = parse(head + table, folder="/nowhere", built=fields_of(metadata))
    assert [str(requirement) for requirement in settings.requirements] == ["plain>=1"]
    environment = Environment(settings.targets[0].environment)
    admitted = {extra for extra, listed in settings.extras.items() if any(environment.admits(r.marker) for r in listed)}
    assert admitted == expected
    assert not settings.warnings


@pytest.mark.slow  # creates build environments
def test_lock(index: IndexServer, tmp_path: Path) -> None:
    """Refused with the line that allows it, for the project and for a path dependency; then built, once for the same files."""
    for name in ("lib", "other", "deep", "new"):
        index.add(build_wheel(name, "1.0"))
    sources = '[tool.minglibc.sources]\npart = { path = "part" }\n'
    write(tmp_path, "demo", requires="lib", settings=TABLE.format(url=index.url))
    write(tmp_path / "part", "part", requires="deep")
    project = ("--project", str(tmp_path))
    refused = minglibc("lock", *project)
    assert refused.code == 2
    assert 'allow a build with allow-sdist = ["demo"] under [tool.minglibc]' in refused.err
    locked = minglibc("lock", *project, "--allow-sdist-package", "demo")
    assert locked.code == 0, locked.err
    assert locked_versions(tmp_path) == {"lib": "1.0", "other": "1.0"}
    assert "Building the metadata of demo" in locked.err
    backend, pyproject = tmp_path / "pdm_build.py", tmp_path / "pyproject.toml"
    backend.write_text(backend.read_text().replace("Requires-Dist: lib", "Requires-Dist: part"), encoding="utf-8")
    checked = minglibc("lock", "--check", *project)
    assert (checked.code, "pdm_build.py has changed" in checked.err) == (1, True)
    assert "the requirements of demo in" in minglibc("caps", *project).err
    pyproject.write_text(pyproject.read_text() + sources, encoding="utf-8")
    locked = minglibc("lock", *project)
    assert 'allow a build with allow-sdist = ["part"]' in locked.err
    locked = minglibc("lock", *project, "--allow-sdist")
    assert locked.code == 0, locked.err
    assert "deep" in locked_versions(tmp_path)
    assert 'allow-sdist = ["demo", "part"]' in pyproject.read_text()
    assert minglibc("lock", "--check", *project).code == 0
    again = minglibc("lock", "--upgrade", *project)
    assert (again.code, "Building" in again.err) == (0, False)
    backend.write_text("raise SystemExit('no such thing')\n", encoding="utf-8")
    failed = minglibc("lock", *project)
    assert failed.code == 1
    assert "no such thing" in failed.err
    assert "deep" in locked_versions(tmp_path)
