"""`minglibc check` for environments, folders of packages and root file systems on disk."""

import os
import sys
import venv
from pathlib import Path

import pytest

from tests.support.check import check, make_environment
from tests.support.commands import minglibc
from tests.support.elves import elf
from tests.support.explained import Project, valid
from tests.support.images import write_image
from tests.support.index import IndexServer

EXTENSION = elf(needs={"libc.so.6": ["GLIBC_2.34"]})


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project without dependencies and with the cap 2.27."""
    return Project(tmp_path, index).write(glibc="2.27")


def put(path: Path, content: bytes = EXTENSION) -> Path:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.slow
def test_shared_site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """Packages that an environment sees through --system-site-packages are read, too: here the user's."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    version = f"python3.{sys.version_info.minor}"
    shared = put(tmp_path / "home/.local/lib" / version / "site-packages/x.so")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    ran = check(project, "--environment", str(environment))
    assert (0, "") == (ran.code, ran.out)
    cfg = environment / "pyvenv.cfg"
    cfg.write_text(cfg.read_text(encoding="utf-8").replace("packages = false", "packages = true"), encoding="utf-8")
    ran = check(project, "--environment", str(environment), "--glibc", "2.27")
    assert 1 == ran.code
    assert f"{shared} needs GLIBC_2.34" in ran.out
    assert f"1 file in {shared.parent}" in ran.err


def test_environment_without_a_working_interpreter(tmp_path: Path, project: Project) -> None:
    """The files of such an environment are read, and what can't be known is a finding."""
    put(tmp_path / "environment/lib/python3.9/site-packages/x.so")
    put(tmp_path / "environment/pyvenv.cfg", b"home = /nowhere\n")
    ran = check(project, str(tmp_path / "environment"))
    assert 1 == ran.code
    assert "lib/python3.9/site-packages/x.so needs GLIBC_2.34" in ran.out
    assert "has no bin/python; folders outside of the environment are not read" in ran.out


def test_folder_with_a_special_wheel(tmp_path: Path, project: Project) -> None:
    """A wheel that is a FIFO, or a link to a device or to nothing, is reported by its name at once."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "a-1.0-py3-none-any.whl"
    os.mkfifo(wheel)
    ran = check(project, str(folder))
    assert (1, f"{wheel.name} can't be read: it is not a regular file\n") == (ran.code, ran.out)
    for target in ("/dev/null", "missing"):
        wheel.unlink()
        wheel.symlink_to(target)
        ran = check(project, str(folder))
        assert ran.code == 1
        assert f"{wheel.name} can't be read: it is" in ran.out


def test_conda_prefix_without_python(tmp_path: Path, project: Project) -> None:
    """A conda environment needs no interpreter; its libraries provide symbols for each other, also by links."""
    put(tmp_path / "prefix/conda-meta/history", b"")
    put(tmp_path / "prefix/lib/libstdc++.so.6.0.33", elf(soname="libstdc++.so.6"))
    put(tmp_path / "prefix/lib/libopenblas.so.0", elf(soname="libopenblas.so.0"))
    (tmp_path / "prefix/lib/libcblas.so.3").symlink_to("libopenblas.so.0")
    needs = {"libstdc++.so.6": ["GLIBCXX_3.4.32"]}
    put(tmp_path / "prefix/lib/python3.11/site-packages/x.so", elf(needs=needs, needed=["libcblas.so.3"]))
    ran = check(project, str(tmp_path / "prefix"))
    assert (0, "") == (ran.code, ran.out)
    assert "Checked 3 binaries" in ran.err


def test_folder_of_packages(tmp_path: Path, project: Project) -> None:
    """``pip install --target`` makes a folder without an interpreter; wheels in it are checked as wheels."""
    put(tmp_path / "target/x/x.so")
    put(tmp_path / "target/x-1.0.dist-info/RECORD", b"x/x.so,,\n")
    put(tmp_path / "target/~x/old.so")
    ran = check(project, str(tmp_path / "target"))
    assert (1, "x 1.0: x/x.so needs GLIBC_2.34 of libc.so.6 (pthread_create); glibc 2.34 has it\n") == (
        ran.code,
        ran.out,
    )
    assert f"Read 2 files in {tmp_path}/target\nNot read: ~x (left by an interrupted pip)\n" in ran.err
    assert "hint: raise the cap to 2.34" in ran.err
    assert 0 == check(project, str(tmp_path / "target"), "--glibc", "2.34").code
    ran = check(project, str(tmp_path / "target/x/x.so"))
    assert (1, True) == (ran.code, ran.out.startswith("x.so needs GLIBC_2.34"))
    (tmp_path / "target/x/x.so").unlink()
    (tmp_path / "target/x/x.so").symlink_to("/nowhere/x.so")
    ran = check(project, str(tmp_path / "target"), "--json")
    result = valid("check", ran.out)
    assert (1, "unreadable") == (ran.code, result["findings"][0]["kind"])
    assert {str(tmp_path / "target"): 1} == result["files"]
    assert [{"path": "~x", "reason": "left by an interrupted pip"}] == result["skipped"]


def test_missing_libraries_are_named_once(tmp_path: Path, project: Project) -> None:
    """Many files of a package may need the same library; JSON has each of them."""
    for name in ("a", "b", "c"):
        put(tmp_path / f"target/{name}.so", elf(needed=["libdrv.so.1"]))
    ran = check(project, str(tmp_path / "target"))
    line = "a.so needs libdrv.so.1, which no wheel contains and some machines lack (2 more files)\n"
    assert (1, line) == (ran.code, ran.out)
    assert "3 findings" in ran.err
    assert "hint: install these libraries on every machine" in ran.err
    assert 3 == len(valid("check", check(project, str(tmp_path / "target"), "--json").out)["findings"])


def test_paths_of_several_folders_are_distinguished(tmp_path: Path, project: Project) -> None:
    """The same path may be in several folders."""
    put(tmp_path / "one/x.so")
    put(tmp_path / "two/x.so")
    ran = check(project, str(tmp_path / "one"), str(tmp_path / "two"))
    assert [f"{tmp_path}/one/x.so", f"{tmp_path}/two/x.so"] == [line.split()[0] for line in ran.out.splitlines()]


def test_own_modules_of_the_project(project: Project) -> None:
    """An extension module that was built in place is checked with the lock."""
    put(project.folder / "src/example/_fast.abi3.so")
    ran = check(project.lock())
    assert 1 == ran.code
    assert "src/example/_fast.abi3.so needs GLIBC_2.34 of libc.so.6 (pthread_create); glibc 2.34 has it\n" == ran.out
    assert f"Read 1 file in {project.folder}/src" in ran.err


def root(tmp_path: Path, libc: bytes) -> Path:
    """A root file system with a libc, a program of the system, and a package in an environment."""
    folder = tmp_path / "root"
    put(folder / "usr/lib/libc.so.6", elf(soname="libc.so.6", needs={}) + libc)
    put(folder / "usr/bin/tool", elf(executable=True, needs={"libc.so.6": ["GLIBC_2.30", "GLIBC_PRIVATE"]}))
    put(folder / "opt/app/lib/python3.9/site-packages/x.so", elf(needs={"libc.so.6": ["GLIBC_2.28"]}))
    return folder


def test_root_file_system(tmp_path: Path, project: Project) -> None:
    """Packages are compared with the cap, and the system's own files with the root's glibc."""
    folder = root(tmp_path, b"GNU C Library (Debian GLIBC 2.31-13) stable release version 2.31.\n")
    ran = check(project, "--root", str(folder))
    assert 1 == ran.code
    line = "opt/app/lib/python3.9/site-packages/x.so needs GLIBC_2.28 of libc.so.6 (fcntl64); glibc 2.28 has it\n"
    assert line == ran.out
    assert f"Checked 3 binaries in {folder} against glibc 2.27: 1 finding\nRead 3 files in {folder}\n" in ran.err
    put(folder / "usr/bin/new", elf(executable=True, needs={"libc.so.6": ["GLIBC_2.34"]}))
    ran = check(project, "--root", str(folder), "--glibc", "2.28")
    assert 1 == ran.code
    assert ran.out.startswith("usr/bin/new needs GLIBC_2.34")


def test_root_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is the root's own glibc; a root without one needs a cap."""
    folder = root(tmp_path, b"GNU C Library (GNU libc) stable release version 2.27.\n")
    monkeypatch.chdir(tmp_path)
    ran = minglibc("check", "--root", "root")
    assert 1 == ran.code
    assert "opt/app/lib/python3.9/site-packages/x.so needs GLIBC_2.28" in ran.out
    assert "usr/bin/tool needs GLIBC_2.30" in ran.out
    assert "against glibc 2.27" in ran.err
    (folder / "usr/lib/libc.so.6").unlink()
    assert 2 == minglibc("check", "--root", "root").code
    assert 2 == minglibc("check", "--root", "root", "x.whl", "--glibc", "2.17").code
    assert 1 == minglibc("check", "--root", "nowhere", "--glibc", "2.17").code


def test_image(tmp_path: Path, project: Project) -> None:
    """A container image is checked as its root file system is, without a trace in the temporary folder."""
    folder = root(tmp_path, b"GNU C Library (Debian GLIBC 2.31-13) stable release version 2.31.\n")
    layer = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    image = write_image(tmp_path / "image.tar", [layer, [("usr/bin/.wh.tool", b"")]], "docker")
    ran = check(project, "--image", str(image))
    assert 1 == ran.code
    line = "opt/app/lib/python3.9/site-packages/x.so needs GLIBC_2.28 of libc.so.6 (fcntl64); glibc 2.28 has it\n"
    assert line == ran.out
    assert f"Checked 2 binaries in {image} against glibc 2.27: 1 finding\nRead 2 files in {image}\n" in ran.err
    assert str(image) == valid("check", check(project, "--image", str(image), "--json").out)["checked"]
    ran = check(project, "--image", str(image), "--root", str(folder))
    assert (2, "error: --root can't be combined with --image\n") == (ran.code, ran.err)


def test_hints_promise_what_sync_does(tmp_path: Path, project: Project) -> None:
    """`sync` is offered for packages that it would replace or remove, and only for them."""
    site = make_environment(project.folder / ".venv", "crypto", "44.0.1", {"crypto/_rust.abi3.so": EXTENSION})
    project.write(glibc="2.27", python=[f"3.{sys.version_info.minor}"]).lock()
    ran = check(project, "--environment", str(project.folder / ".venv"))
    assert ran.err.endswith("hint: `minglibc sync` replaces or removes crypto 44.0.1\n")
    put(site / "stray.so")
    ran = check(project, "--environment", str(project.folder / ".venv"))
    assert "replaces or removes crypto 44.0.1; it does not change the others\n" in ran.err
    assert 0 == minglibc("sync", "--project", str(project.folder)).code
    ran = check(project, "--environment", str(project.folder / ".venv"))
    assert "hint: delete or build again these files" in ran.err
