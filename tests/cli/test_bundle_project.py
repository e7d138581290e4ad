"""The project's own wheel in a bundle."""

import hashlib
import platform
import sys
from pathlib import Path

import pytest

from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock
from tests.support.sdists import source_files
from tests.support.wheels import BuiltWheel, build_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SETTINGS = (
    '[tool.minglibc]\nglibc = "2.17"\npython = ["{python}"]\narchitectures = ["{machine}"]\nindex-url = "{url}"\n'
)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked package that requires another one, and whose backend writes its version."""
    index.add(build_wheel("pip", "24.0"))
    index.add(build_wheel("helper", "1.0"))
    return write(tmp_path / "project", index)


def write(folder: Path, index: IndexServer, *, requires: str = "helper", needs: str = "", more: str = "") -> Path:
    """Write and lock the package in *folder*."""
    folder.mkdir(exist_ok=True)
    facts = {"name": "my-app", "dynamic": ["version"], "dependencies": ["helper"]}
    for name, content in source_files("my-app", "1.5", requires=[requires], needs=needs, project=facts).items():
        (folder / name).write_bytes(content)
    settings = SETTINGS.format(python=HERE, machine=platform.machine(), url=index.url)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(settings + more)
    lock(folder)
    return folder


def bundle(folder: Path, output: Path, *options: str) -> Ran:
    """Run `bundle` for the project in *folder*."""
    return minglibc("bundle", "--project", str(folder), "--output", str(output), *options)


def wheels(made: Path) -> list[str]:
    """The wheels in a bundle without pip."""
    return sorted(path.name for path in (made / "wheels").iterdir() if not path.name.startswith("pip-"))


@pytest.mark.slow
def test_package_is_built(project: Path, tmp_path: Path) -> None:
    """The bundle has the wheel that the project's backend builds, with its hash, and the same bytes each time."""
    ran = bundle(project, tmp_path / "one")
    assert not ran.code, ran.err
    assert "Bundled 2 packages, including my_app-1.5-py3-none-any.whl, and pip-24.0-py3-none-any.whl" in ran.err
    assert ["helper-1.0-py3-none-any.whl", "my_app-1.5-py3-none-any.whl"] == wheels(tmp_path / "one")
    digest = hashlib.sha256((tmp_path / "one" / "wheels" / "my_app-1.5-py3-none-any.whl").read_bytes()).hexdigest()
    assert f"my-app==1.5 --hash=sha256:{digest}\n" in (tmp_path / "one" / "requirements.txt").read_text()
    assert not bundle(project, tmp_path / "two").code
    assert (tmp_path / "one" / "SHA256SUMS").read_text() == (tmp_path / "two" / "SHA256SUMS").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "more"),
    [(["--no-install-project"], ""), (["--only-group", "dev"], ""), ([], "[tool.uv]\npackage = false\n")],
    ids=["option", "only-group", "setting"],
)
def test_package_is_left_out(project: Path, tmp_path: Path, index: IndexServer, options: list[str], more: str) -> None:
    """With --no-install-project or --only-group, and where uv would not install the project either."""
    write(project, index, more=f'{more}[dependency-groups]\ndev = ["helper"]\n')
    ran = bundle(project, tmp_path / "made", *options)
    assert not ran.code, ran.err
    assert ["helper-1.0-py3-none-any.whl"] == wheels(tmp_path / "made")


@pytest.mark.slow
def test_unusable_build_is_an_error(project: Path, tmp_path: Path, index: IndexServer) -> None:
    """A project that exceeds the cap, or requires what the lock lacks, is not bundled; the options that help are named."""
    write(project, index, needs="2.35")
    ran = bundle(project, tmp_path / "made")
    assert 1 == ran.code
    assert "needs GLIBC_2.35" in ran.err
    assert "bundle a wheel of it with --project-wheel, or leave it out with --no-install-project" in ran.err
    write(project, index, requires="helper>=2")
    ran = bundle(project, tmp_path / "made")
    assert (1, True) == (
        ran.code,
        "my_app-1.5-py3-none-any.whl requires helper>=2, which is not in the lock" in ran.err,
    )
    assert not (tmp_path / "made").exists()


def save(wheel: BuiltWheel, folder: Path) -> Path:
    """Write *wheel* to *folder*."""
    path = folder / wheel.filename
    path.write_bytes(wheel.content)
    return path


@pytest.mark.slow
def test_given_wheel_is_used(project: Path, tmp_path: Path) -> None:
    """--project-wheel takes a wheel as it is, so that nothing is built."""
    path = save(build_wheel("my-app", "2.0", requires=["helper"]), tmp_path)
    ran = bundle(project, tmp_path / "made", "--project-wheel", str(path))
    assert not ran.code, ran.err
    assert path.read_bytes() == (tmp_path / "made" / "wheels" / path.name).read_bytes()


def test_unusable_wheel_is_an_error(project: Path, tmp_path: Path) -> None:
    """A wheel of another project, for another machine or that does not exist is named, and nothing is written."""
    other = "aarch64" if platform.machine() != "aarch64" else "x86_64"
    (tmp_path / "my_app-4.0-py3-none-any.whl").write_bytes(b"PK")
    given = {
        str(save(build_wheel("other", "1.0"), tmp_path)): "is a wheel of other, the project is my-app",
        str(save(build_wheel("my-app", "3.0", f"py3-none-manylinux_2_17_{other}"), tmp_path)): "is incompatible with",
        str(save(build_wheel("my-app", "5.0", f"py3-none-manylinux_2_99_{platform.machine()}"), tmp_path)): "2.99",
        str(tmp_path / "my_app-4.0-py3-none-any.whl"): "my_app-4.0-py3-none-any.whl",
        str(tmp_path / "missing.whl"): "does not exist",
        str(tmp_path): "is not a wheel",
    }
    for path, expected in given.items():
        ran = bundle(project, tmp_path / "made", "--project-wheel", path)
        assert (1, True, False) == (ran.code, expected in ran.err, "Traceback" in ran.err), ran.err
    ran = bundle(project, tmp_path / "made", "--project-wheel", "x.whl", "--no-install-project")
    assert (2, True) == (ran.code, "can't be combined with --no-install-project" in ran.err)
    assert not (tmp_path / "made").exists()
