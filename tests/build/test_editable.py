"""The project itself: sync builds it with its own backend and installs it editable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Ran, minglibc
from tests.support.elves import elf
from tests.support.environments import check_whole, installed
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

RUNNING = f"3.{sys.version_info.minor}"

# A backend as small as the standards allow: it needs `helper` at build time, and tells through it what it was asked for.
BACKEND = """
import base64, hashlib, os, pathlib, tomllib, zipfile

def get_requires_for_build_editable(config_settings=None):
    return ["helper"]

def build_editable(folder, config_settings=None, metadata_directory=None):
    import helper
    if os.path.exists("broken"):
        print("the reason why"); raise SystemExit(1)
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {each}\\n" for each in project["dependencies"])
    members = {
        f"{name}.pth": os.path.join(os.getcwd(), "src") + "\\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": f"[console_scripts]\\n{name} = {name}:main\\n",
    }
    contents = {path: text.encode() for path, text in members.items()}
    if os.path.exists("native.so"):
        contents[f"{name}_native.so"] = pathlib.Path("native.so").read_bytes()
    def digest(data):
        return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    rows = [f"{path},sha256={digest(data)},{len(data)}" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = ("\\n".join([*rows, f"{info}/RECORD,,"]) + "\\n").encode()
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, data in contents.items():
            archive.writestr(path, data)
    return wheel
"""
PYPROJECT = """[build-system]
requires = ["tiny"]
build-backend = "tiny"
[project]
name = "demo"
version = "{version}"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
python = ["{python}"]
index-url = "{url}"
"""


@pytest.fixture
def folder(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project with a backend, whose module prints what it imports."""
    index.max_age = 0
    index.add(build_wheel("tiny", "1.0", files={"tiny.py": BACKEND}))
    index.add(build_wheel("helper", "1.0"))
    index.add(build_wheel("a", "1.0"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "demo.py").write_text("import a\ndef main():\n    print('demo with a', a.__version__)\n")
    write(tmp_path, index)
    return tmp_path


def write(folder: Path, index: IndexServer, version: str = "1.0") -> None:
    """Write pyproject.toml and lock it."""
    (folder / "pyproject.toml").write_text(PYPROJECT.format(version=version, python=RUNNING, url=index.url))
    locked = minglibc("lock", "--project", str(folder))
    assert 0 == locked.code, locked.err


def sync(folder: Path, *arguments: str) -> Ran:
    """`minglibc sync`."""
    return minglibc("sync", "--project", str(folder), *arguments)


def test_the_project_is_installed_editable(folder: Path) -> None:
    """sync builds the project in an environment of its own: its script runs, its source is used in place, nothing else comes along; PEP 610 says where."""
    found = sync(folder)
    assert 0 == found.code, found.err
    assert " + demo==1.0" in found.err
    check_whole(folder / ".venv")
    assert {"a": "1.0", "demo": "1.0"} == installed(folder / ".venv")
    (origin,) = (folder / ".venv").glob("lib/python*/site-packages/demo-*.dist-info/direct_url.json")
    assert {"url": folder.as_uri(), "dir_info": {"editable": True}} == json.loads(origin.read_text())
    script = folder / ".venv" / "bin" / "demo"
    assert "demo with a 1.0\n" == subprocess.check_output([script], text=True)
    (folder / "src" / "demo.py").write_text("def main():\n    print('changed')\n")
    assert "changed\n" == subprocess.check_output([script], text=True)
    again = sync(folder)
    assert "Nothing to do" in again.err
    assert 0 == sync(folder, "--check").code


def test_a_changed_pyproject_builds_it_anew(folder: Path, index: IndexServer) -> None:
    """Entry points, version and dependencies may have changed: the project is built again, once."""
    assert 0 == sync(folder).code
    write(folder, index, "2.0")
    assert 1 == sync(folder, "--check").code
    found = sync(folder)
    assert " - demo==1.0\n + demo==2.0" in found.err
    assert {"a": "1.0", "demo": "2.0"} == installed(folder / ".venv")
    assert "Nothing to do" in sync(folder).err


def test_the_project_may_be_left_out(folder: Path) -> None:
    """--no-install-project leaves it out, and takes nothing away that stands already."""
    assert 0 == sync(folder, "--no-install-project").code
    assert {"a": "1.0"} == installed(folder / ".venv")
    before = json.loads(sync(folder, "--check", "--json").out)
    assert ["demo"] == [step["name"] for step in before["steps"] if step["action"] == "install"]
    assert 0 == sync(folder).code
    assert 0 == sync(folder, "--no-install-project").code
    assert {"a": "1.0", "demo": "1.0"} == installed(folder / ".venv")


def test_a_project_without_a_backend_is_not_built(folder: Path, index: IndexServer) -> None:
    """Without [build-system] a project is no package, and sync installs its lock alone."""
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text[text.index("[project]") :])
    assert 0 == minglibc("lock", "--project", str(folder)).code
    assert 0 == sync(folder).code
    assert {"a": "1.0"} == installed(folder / ".venv")


@pytest.mark.parametrize("broken", ["backend", "requirement", "no such backend"])
def test_a_build_that_fails_changes_nothing(folder: Path, index: IndexServer, broken: str) -> None:
    """A backend that fails, is not on the index or is not what it says is an error with its reason; nothing is installed."""
    said = {"backend": "the reason why", "requirement": "tiny-nowhere", "no such backend": "can't be imported"}
    text = (folder / "pyproject.toml").read_text()
    if broken == "backend":
        (folder / "broken").touch()
    elif broken == "requirement":
        (folder / "pyproject.toml").write_text(text.replace('["tiny"]', '["tiny-nowhere"]'))
    else:
        (folder / "pyproject.toml").write_text(text.replace('backend = "tiny"', 'backend = "tinier"'))
    assert 0 == minglibc("lock", "--project", str(folder)).code
    found = sync(folder)
    assert 1 == found.code
    assert said[broken] in found.err
    assert "--no-install-project" in found.err
    assert {} == installed(folder / ".venv")


def test_the_cap_holds_for_the_project_itself(folder: Path) -> None:
    """What the project's own backend built against a newer glibc is refused, with the file that needs it."""
    (folder / "native.so").write_bytes(elf(needs={"libc.so.6": ["GLIBC_2.34"]}))
    found = sync(folder)
    assert 1 == found.code
    assert "demo_native.so needs" in found.err
    assert "2.34" in found.err
    assert {} == installed(folder / ".venv")
