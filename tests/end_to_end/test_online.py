"""The public index, its wheels, and other installers that read the lock (`pytest -m online`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import GlibcVersion
from tests.support.commands import minglibc, read_lock

pytestmark = pytest.mark.online

PARAMIKO = Path(__file__).parents[2] / "examples" / "paramiko" / "pyproject.toml"


def _pyproject(requirements: list[str], *, cap: str, python: str = "3.11") -> str:
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    return (
        f'[project]\nname = "x"\nversion = "0"\nrequires-python = ">={python}"\ndependencies = [{listed}]\n'
        f'[tool.minglibc]\nglibc = "{cap}"\npython = ["{python}"]\n'
    )


def _lock(folder: Path, text: str) -> str:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    ran = minglibc("lock", "--project", str(folder))
    assert 0 == ran.code, ran.err
    return ran.err


def _python(folder: Path, *arguments: str) -> str:
    """The output of the environment's Python, without this machine's pip settings."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    command = [str(folder / "bin" / "python"), *arguments]
    environment = {**settings, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


def _cryptography_needs(environment: Path) -> GlibcVersion:
    """The oldest glibc that the installed cryptography supports, according to its WHEEL file."""
    (wheel,) = environment.glob("lib/python3*/site-packages/cryptography-*.dist-info/WHEEL")
    tags = [line.partition(": ")[2] for line in wheel.read_text().splitlines() if line.startswith("Tag: ")]
    needs = [version for tag in tags if isinstance(version := lowest_libcs(tag).get("glibc"), GlibcVersion)]
    return min(needs)


def test_paramiko(tmp_path: Path) -> None:
    """paramiko is locked under glibc 2.27 for two Pythons, with one version of each package."""
    _lock(tmp_path, PARAMIKO.read_text(encoding="utf-8"))
    lock = read_lock(tmp_path)
    old, new = (lock.versions(target) for target in lock.targets)
    assert {"paramiko", "cryptography", "bcrypt", "cffi", "pynacl", "invoke", "pycparser"} <= set(old)
    assert [] == [name for name in set(old) & set(new) if old[name] != new[name]]


def test_torch(tmp_path: Path) -> None:
    """torch 2.6.0 is selected under glibc 2.17, and the output explains why."""
    output = _lock(tmp_path, _pyproject(["torch"], cap="2.17"))
    assert "2.6.0" == read_lock(tmp_path).versions(read_lock(tmp_path).targets[0])["torch"]
    assert "held back by the cap: torch 2.6.0 (" in output


def test_data(tmp_path: Path) -> None:
    """numpy and pyarrow are held back under glibc 2.17, and the output names the caps that allow newer releases."""
    output = _lock(tmp_path, _pyproject(["numpy", "pandas", "pyarrow"], cap="2.17"))
    assert {"numpy", "pandas", "pyarrow"} <= set(read_lock(tmp_path).versions(read_lock(tmp_path).targets[0]))
    for name, needs in (("numpy", "2.27"), ("pyarrow", "2.28")):
        assert any(
            line.startswith(f"held back by the cap: {name} ") and line.endswith(f"{needs})")
            for line in output.splitlines()
        )


def test_grpc(tmp_path: Path) -> None:
    """grpcio, grpcio-status and protobuf are compatible with each other."""
    _lock(tmp_path, _pyproject(["grpcio", "protobuf", "grpcio-status"], cap="2.17"))
    assert {"grpcio", "protobuf", "grpcio-status"} <= set(read_lock(tmp_path).versions(read_lock(tmp_path).targets[0]))


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_other_installers_use_the_lock(tmp_path: Path, installer: str) -> None:
    """`pip install -r pylock.toml` (26.1 and newer) and `uv pip sync pylock.toml` install wheels within the cap."""
    _lock(tmp_path, PARAMIKO.read_text(encoding="utf-8"))
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    lock = str(tmp_path / "pylock.toml")
    if installer == "pip":
        _python(environment, "-m", "pip", "install", "-q", "-U", "pip>=26.1")
        _python(environment, "-m", "pip", "install", "-q", "-r", lock)
    else:
        _python(environment, "-m", "pip", "install", "-q", "uv>=0.9")
        _python(environment, "-m", "uv", "pip", "sync", "-q", "--preview", "--python", str(environment), lock)
    assert _cryptography_needs(environment) <= GlibcVersion(2, 27)
    assert "works\n" == _python(environment, "-c", "import paramiko; print('works')")


def _sources(requirements: list[str], *, cap: str = "2.17") -> str:
    text = _pyproject(requirements, cap=cap, python=f"3.{sys.version_info.minor}")
    names = ", ".join(f'"{requirement.partition("==")[0]}"' for requirement in requirements)
    return f"{text}allow-sdist = [{names}]\n"


@pytest.mark.slow
def test_sources_are_built(tmp_path: Path) -> None:
    """Projects with only source distributions, one with a C extension, are locked, installed and compatible with the cap."""
    output = _lock(tmp_path, _sources(["docopt", "sgmllib3k", "simplejson==3.8.2"]))
    assert "from source: simplejson 3.8.2" in output
    assert 0 == minglibc("sync", "--project", str(tmp_path)).code
    code = "import docopt, sgmllib, simplejson; print(simplejson._speedups.__name__)"
    assert "simplejson._speedups\n" == _python(tmp_path / ".venv", "-c", code)
    assert 0 == minglibc("check", "--project", str(tmp_path)).code
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "other"], check=True)
    minglibc("export", "--project", str(tmp_path), "-o", str(tmp_path / "requirements.txt"))
    _python(tmp_path / "other", "-m", "pip", "install", "-q", "-r", str(tmp_path / "requirements.txt"))
    assert "simplejson" in _python(tmp_path / "other", "-c", code)


@pytest.mark.slow
def test_a_build_that_exceeds_the_cap(tmp_path: Path) -> None:
    """zstandard built with glibc 2.34 or newer exceeds the cap 2.17; the error names the file and the symbol version."""
    (tmp_path / "pyproject.toml").write_text(_sources(["zstandard==0.18.0"]), encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    assert 1 == ran.code
    assert "needs GLIBC_2.34 (zstandard/backend_c" in ran.err
    assert 'tool.minglibc.glibc = "2.34"' in ran.err
