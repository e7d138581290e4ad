"""What `lock` says of wheels that change, of unknown names, and of kernel markers."""

from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.environments import LockedProject
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


def test_replaced_wheels_are_listed(tmp_path: Path, index: IndexServer) -> None:
    """A change of the cap that replaces the wheel of an unchanged version is listed; additional targets are not."""
    project = LockedProject(tmp_path / "project", index)
    for cap in ("17", "28"):
        index.add(build_wheel("native", "1.0", f"cp311-cp311-manylinux_2_{cap}_x86_64"))
        index.add(build_wheel("native", "1.0", f"cp312-cp312-manylinux_2_{cap}_x86_64"))
    index.add(build_wheel("pure", "1.0"))
    project.lock("native", "pure", glibc="2.17", python="3.11")
    project.write(("native", "pure"), glibc="2.28", python="3.11")
    ran = project.command("lock")
    assert ran.code == 0, ran.err
    assert " ~ native 1.0 (other files)" in ran.err
    assert "pure" not in ran.err
    project.write(("native", "pure"), glibc="2.28", python='3.11", "3.12')
    ran = project.command("lock", "--json")
    assert ran.code == 0, ran.err
    assert "native" not in ran.out


def test_unknown_name_to_upgrade(tmp_path: Path, index: IndexServer) -> None:
    """A name of -P that the lock does not have is warned of."""
    project = LockedProject(tmp_path / "project", index)
    index.add(build_wheel("a", "1.0"))
    project.lock("a")
    ran = project.command("lock", "-P", "a", "-P", "typo")
    assert ran.code == 0, ran.err
    assert "warning: typo of --upgrade-package is not in the lock" in ran.err
    assert "a of --upgrade-package" not in ran.err


def test_kernel_markers_of_packages(tmp_path: Path, index: IndexServer) -> None:
    """Requirements of packages that depend on the kernel are warned of, except those of unrequested extras."""
    project = LockedProject(tmp_path / "project", index)
    requires = ["dep; 'tegra' in platform_release", "dep; extra == 'x' and platform_version > '5'"]
    index.add(build_wheel("foo", "1.0", requires=requires, provides_extra=["x"]))
    project.write(("foo",))
    ran = project.command("lock")
    assert ran.code == 0, ran.err
    assert ran.err.count("targets have no kernel version") == 1
    assert "foo 1.0 requires" in ran.err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"r.in": "ee @ http://${FILES_HOST}/files/ee-1.0-py3-none-any.whl\n"}, "r.in:1 uses ${FILES_HOST}"),
        ({"r.in": "# ok\nee==${VERSION}\n"}, "r.in:2 uses ${VERSION}"),
        ({"r.in": "-r r.in\n"}, "r.in:1 includes the file itself"),
        ({"r.in": "ee\n-r sub/b.in\n", "sub/b.in": "-r ../sub/b.in\n"}, "sub/b.in:1 includes the file itself"),
        ({"r.in": "-c r.in\nee\n"}, "r.in:1 includes the file itself"),
        ({"r.in": ".\n"}, "r.in:1"),
        ({"r.in": "-e .\n"}, "r.in:1 names ., which has no pyproject.toml"),
        ({"r.in": "--find-links ${FILES_HOST}\n"}, "r.in:1 uses ${FILES_HOST}"),
        ({"r.in": "ee @ http://h.invalid/ee-1.0-py3-none-any.whl; python_version > '3'\n"}, "r.in:1"),
    ],
)
def test_requirements_files(
    files: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not supported is named with its line; values of variables are in no message."""
    monkeypatch.setenv("FILES_HOST", "secret-host")
    monkeypatch.setenv("VERSION", "secret-version")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = minglibc("lock", "-r", str(tmp_path / "r.in"), "--glibc", "2.28", "--python", "3.11")
    assert ran.code == 2, ran.err
    assert message in ran.err.replace(f"{tmp_path}/", "")
    assert "secret" not in ran.err


def test_file_included_twice(tmp_path: Path, index: IndexServer) -> None:
    """Including a file twice is no cycle."""
    index.add(build_wheel("ee", "1.0"))
    (tmp_path / "base.in").write_text("ee\n", encoding="utf-8")
    (tmp_path / "r.in").write_text("-r base.in\n-r base.in\n-c base.in\n", encoding="utf-8")
    ran = minglibc(
        *("lock", "-r", str(tmp_path / "r.in"), "--glibc", "2.28", "--python", "3.11", "--index-url", index.url)
    )
    assert ran.code == 0, ran.err
