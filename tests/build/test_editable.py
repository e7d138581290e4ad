"""The project itself: `sync` builds it with its own backend and installs it as editable."""

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

# A minimal backend, which requires `helper` for editable builds.
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
    requires = "".join(f"Requires-Dist: {text}\\n" for text in project["dependencies"])
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
    """A locked project with a backend and a module that prints the version of its dependency."""
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


def test_editable_install(folder: Path) -> None:
    """The project's script runs from its source folder, direct_url.json (PEP 610) records it, and no build requirement is installed."""
    ran = sync(folder)
    assert 0 == ran.code, ran.err
    assert " + demo==1.0" in ran.err
    check_whole(folder / ".venv")
    assert {"a": "1.0", "demo": "1.0"} == installed(folder / ".venv")
    (record,) = (folder / ".venv").glob("lib/python*/site-packages/demo-*.dist-info/direct_url.json")
    assert {"url": folder.as_uri(), "dir_info": {"editable": True}} == json.loads(record.read_text())
    script = folder / ".venv" / "bin" / "demo"
    assert "demo with a 1.0\n" == subprocess.check_output([script], text=True)
    (folder / "src" / "demo.py").write_text("def main():\n    print('changed')\n")
    assert "changed\n" == subprocess.check_output([script], text=True)
    again = sync(folder)
    assert "Nothing to do" in again.err
    assert 0 == sync(folder, "--check").code


@pytest.mark.slow
def test_changed_pyproject(folder: Path, index: IndexServer) -> None:
    """The project is built again, once, when its pyproject.toml has changed."""
    assert 0 == sync(folder).code
    write(folder, index, "2.0")
    assert 1 == sync(folder, "--check").code
    ran = sync(folder)
    assert " - demo==1.0\n + demo==2.0" in ran.err
    assert {"a": "1.0", "demo": "2.0"} == installed(folder / ".venv")
    assert "Nothing to do" in sync(folder).err


def test_no_install_project(folder: Path) -> None:
    """--no-install-project does not install the project, and does not remove it."""
    assert 0 == sync(folder, "--no-install-project").code
    assert {"a": "1.0"} == installed(folder / ".venv")
    before = json.loads(sync(folder, "--check", "--json").out)
    assert ["demo"] == [step["name"] for step in before["steps"] if step["action"] == "install"]
    assert 0 == sync(folder).code
    assert 0 == sync(folder, "--no-install-project").code
    assert {"a": "1.0", "demo": "1.0"} == installed(folder / ".venv")


def test_no_backend(folder: Path, index: IndexServer) -> None:
    """A project without [build-system] is not installed."""
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text[text.index("[project]") :])
    assert 0 == minglibc("lock", "--project", str(folder)).code
    assert 0 == sync(folder).code
    assert {"a": "1.0"} == installed(folder / ".venv")


@pytest.mark.parametrize("broken", ["backend", "requirement", "no such backend"])
def test_failing_build(folder: Path, index: IndexServer, broken: str) -> None:
    """An error says why a backend fails, is missing or can't be imported; nothing is installed."""
    problems = {"backend": "the reason why", "requirement": "tiny-nowhere", "no such backend": "can't be imported"}
    text = (folder / "pyproject.toml").read_text()
    if broken == "backend":
        (folder / "broken").touch()
    elif broken == "requirement":
        (folder / "pyproject.toml").write_text(text.replace('["tiny"]', '["tiny-nowhere"]'))
    else:
        (folder / "pyproject.toml").write_text(text.replace('backend = "tiny"', 'backend = "tinier"'))
    assert 0 == minglibc("lock", "--project", str(folder)).code
    ran = sync(folder)
    assert 1 == ran.code
    assert problems[broken] in ran.err
    assert "--no-install-project" in ran.err
    assert {} == installed(folder / ".venv")


def test_build_above_the_cap(folder: Path) -> None:
    """The project is not installed if its build needs more than the cap, and the error names the file."""
    (folder / "native.so").write_bytes(elf(needs={"libc.so.6": ["GLIBC_2.34"]}))
    ran = sync(folder)
    assert 1 == ran.code
    assert "demo_native.so of the project needs GLIBC_2.34" in ran.err
    assert "2.34" in ran.err
    assert {} == installed(folder / ".venv")


@pytest.mark.online
@pytest.mark.parametrize("backend", [("hatchling", "hatchling.build"), ("setuptools>=64", "setuptools.build_meta")])
def test_real_backends(tmp_path: Path, backend: tuple[str, str]) -> None:
    """hatchling and setuptools from the public index build an editable wheel, and its script runs."""
    (tmp_path / "src" / "demoproj").mkdir(parents=True)
    (tmp_path / "src" / "demoproj" / "__init__.py").write_text("def main():\n    print('hello')\n")
    (tmp_path / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{backend[0]}"]\nbuild-backend = "{backend[1]}"\n'
        '[project]\nname = "demoproj"\nversion = "1"\n[project.scripts]\ndemoproj = "demoproj:main"\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\n'
    )
    assert 0 == minglibc("lock", "--project", str(tmp_path)).code
    synced = sync(tmp_path)
    assert 0 == synced.code, synced.err
    assert "hello\n" == subprocess.check_output([tmp_path / ".venv" / "bin" / "demoproj"], text=True)
