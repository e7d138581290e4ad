"""Reading the binaries of folders: what is followed, what is skipped, and what is reported as unreadable."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from minglibc.audit import folders
from minglibc.audit.folders import Contents, Folder, Skipped, read_folders, read_root
from minglibc.audit.import_paths import import_paths, project_folders
from minglibc.audit.rules import Unreadable
from tests.support.elves import elf

EXTENSION = elf(needs={"libc.so.6": ["GLIBC_2.34"]})


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write *files* below *folder*."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(folder: Path, *others: Folder) -> Contents:
    """The contents of *folder* and *others*."""
    return read_folders(str(folder), [Folder(str(folder)), *others])


def paths(contents: Contents) -> list[str]:
    """The paths of the readable binaries."""
    return [binary.path for binary in contents.binaries if not isinstance(binary.content, Unreadable)]


def unreadable(contents: Contents) -> dict[str, str]:
    """Why binaries are unreadable, by path."""
    return {one.path: one.content.why for one in contents.binaries if isinstance(one.content, Unreadable)}


def test_linked_files_are_read(tmp_path: Path) -> None:
    """uv links each file to its cache; the distribution owns the link."""
    write(tmp_path / "cache", {"x.so": EXTENSION, "x.py": ""})
    site = write(tmp_path / "site", {"x-1.0.dist-info/RECORD": "x/x.so,,\n", "x/__init__.py": ""})
    for name in ("x.so", "x.py"):
        (site / "x" / name).symlink_to(tmp_path / "cache" / name)
    contents = read(site)
    assert [("x 1.0", "x/x.so")] == [(binary.distribution, binary.path) for binary in contents.binaries]
    assert {str(site): 4} == contents.files


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    """A folder outside is read through its link; ``lib64`` and loops lead to what is read anyway."""
    write(tmp_path / "elsewhere", {"pkg/x.so": EXTENSION})
    folder = write(tmp_path / "env", {"lib/site/y.so": EXTENSION})
    (folder / "lib64").symlink_to("lib")
    (folder / "lib/loop").symlink_to("../lib")
    (folder / "lib/site/pkg").symlink_to(tmp_path / "elsewhere/pkg")
    (folder / "lib/site/again").symlink_to(tmp_path / "elsewhere/pkg")
    assert ["lib/site/again/x.so", "lib/site/y.so"] == sorted(paths(read(folder)))


def test_links_to_parents_are_not_followed(tmp_path: Path) -> None:
    """A link to a folder that contains the environment would read everything, so it is reported."""
    folder = write(tmp_path / "env", {"a.so": EXTENSION})
    (folder / "up").symlink_to(tmp_path)
    assert {"up": f"it is a link to {tmp_path}, which contains the checked folder"} == unreadable(read(folder))


def test_names_of_links_are_names_of_libraries(tmp_path: Path) -> None:
    """conda's numpy needs libcblas.so.3, which is a link to a library with another name."""
    write(tmp_path, {"lib/libopenblas.so.0": elf(soname="libopenblas.so.0")})
    (tmp_path / "lib/libcblas.so.3").symlink_to("libopenblas.so.0")
    (binary,) = read(tmp_path).binaries
    assert ("lib/libopenblas.so.0", ("libcblas.so.3",)) == (binary.path, binary.names)


def test_broken_links(tmp_path: Path) -> None:
    """A missing library is unreadable; other broken links, which no loader follows, are only named."""
    write(tmp_path, {"x/__init__.py": ""})
    for name in ("x/gone.so.1", "x/readme.txt", "x/gone.py"):
        (tmp_path / name).symlink_to("/nowhere/file")
    (tmp_path / "x/circle.so").symlink_to("circle.so")
    contents = read(tmp_path)
    assert {"x/gone.so.1", "x/circle.so"} == unreadable(contents).keys()
    assert {"x/readme.txt", "x/gone.py"} == {skipped.path for skipped in contents.skipped}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_folders_and_files(tmp_path: Path) -> None:
    """What the user may not read is reported."""
    write(tmp_path, {"a/x.so": EXTENSION, "b.so": EXTENSION})
    (tmp_path / "a").chmod(0)
    (tmp_path / "b.so").chmod(0)
    try:
        assert {"a": "Permission denied", "b.so": "Permission denied"} == unreadable(read(tmp_path))
    finally:
        (tmp_path / "a").chmod(0o700)


def test_leftovers_of_pip_are_skipped(tmp_path: Path) -> None:
    """pip renames what it can't delete; no interpreter imports it. The name means nothing in other folders."""
    write(tmp_path, {"~umpy/x.so": EXTENSION, "numpy-2.0.dist-info/RECORD": "", "data/~x/y.so": EXTENSION})
    contents = read(tmp_path)
    assert ["data/~x/y.so"] == paths(contents)
    assert [Skipped("~umpy", "left by an interrupted pip")] == contents.skipped


def test_interpreters_are_not_part_of_an_environment(tmp_path: Path) -> None:
    """The link to the interpreter is named once and not read; other programs are."""
    write(tmp_path, {"python": elf(executable=True), "env/pyvenv.cfg": "", "env/bin/tool": elf(executable=True)})
    (tmp_path / "env/bin/python3.11").symlink_to(tmp_path / "python")
    (tmp_path / "env/bin/python").symlink_to("python3.11")
    contents = read(tmp_path / "env")
    assert ["bin/tool"] == paths(contents)
    assert [str(tmp_path / "python")] == [skipped.path for skipped in contents.skipped]


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    """A FIFO in place of a library is named as unreadable; opening it would block."""
    os.mkfifo(tmp_path / "x.so")
    assert {"x.so": "it is not a regular file"} == unreadable(read(tmp_path))


# Import paths


def test_pth_files(tmp_path: Path) -> None:
    """The folders that .pth files name are read, and belong to the distribution of the .pth file."""
    project = write(
        tmp_path / "project", {"src/pkg/x.so": EXTENSION, "src/top.so": EXTENSION, "src/.hid/x.so": EXTENSION}
    )
    record = {"p-1.dist-info/RECORD": "p.pth,,\n", "p.pth": f"# comment\nimport os\n\n{project}/src\n/nowhere\n"}
    site = write(tmp_path / "site", record)
    contents = read(site, *import_paths([str(site)]))
    assert {f"{project}/src/pkg/x.so", f"{project}/src/top.so"} == set(paths(contents))
    assert {"p 1"} == {binary.distribution for binary in contents.binaries}


def test_folders_beside_packages_are_not_read(tmp_path: Path) -> None:
    """In the folder of a project, old builds, environments and tests are not its packages."""
    names = ("build/lib/x.so", "tests/x.so", ".venv/x.so", "env/x.so", "with-dash/x.so", "pkg/x.so")
    project = write(tmp_path / "project", dict.fromkeys(names, EXTENSION) | {"setup.py": "", "env/pyvenv.cfg": ""})
    site = write(tmp_path / "site", {"__editable__.p.pth": str(project)})
    contents = read_folders(str(site), import_paths([str(site)]))
    assert [f"{project}/pkg/x.so"] == paths(contents)


def test_finders_of_editable_installs(tmp_path: Path) -> None:
    """setuptools, editables and meson-python name packages and build folders in modules."""
    project = write(tmp_path, {f"{name}/x.so": EXTENSION for name in ("one", "two", "build/cp311", "other")})
    write(project, {"two/__init__.py": "", "bin/ninja": elf(executable=True)})
    modules = {
        "__editable___p_1_finder.py": f"MAPPING: dict[str, str] = {{'one': '{project}/one'}}\n",
        "_editable_impl_p.py": f"F.map_module('two', '{project}/two/__init__.py')\n",
        "_p_editable_loader.py": f"install('p', {{'p'}}, '{project}/build/cp311', ['{project}/bin/ninja'], False)\n",
        "_q_editable_loader.py": "not Python",
        "editable.py": f"'{project}/other'\n",
        "_r_editable.py": f"'/', '{project}'\n",
    }
    site = write(tmp_path / "env/site", modules)
    contents = read_folders(str(site), import_paths([str(site)]))
    assert {f"{project}/{name}/x.so" for name in ("one", "two", "build/cp311")} == set(paths(contents))


def test_own_modules_of_a_project(tmp_path: Path) -> None:
    """The project's own modules are those in src, in its packages, and beside them."""
    names = ("src/a/x.so", "pkg/x.so", "_top.abi3.so", "vendor/x.so", "tests/x.so", "build/lib/x.so")
    write(tmp_path, dict.fromkeys(names, EXTENSION) | {"pkg/__init__.py": "", "tests/__init__.py": ""})
    contents = read_folders(str(tmp_path), project_folders(str(tmp_path)))
    assert {"src/a/x.so", "pkg/x.so", "_top.abi3.so"} == set(paths(contents))


# Root file systems


def test_links_stay_in_the_root(tmp_path: Path) -> None:
    """An absolute link leads to another file of the root, never to one of this machine."""
    outside = write(tmp_path / "outside", {"x.so": EXTENSION})
    root = write(tmp_path / "root", {"usr/lib/libx.so.1.2": elf(soname="libx.so.1"), "dev/x.so": EXTENSION})
    (root / "lib").symlink_to("usr/lib")
    (root / "usr/lib/libalias.so").symlink_to("/usr/lib/libx.so.1.2")
    (root / "usr/out.so").symlink_to(outside / "x.so")
    (root / "usr/out").symlink_to(outside)
    contents = read_root(str(root))
    assert [("usr/lib/libx.so.1.2", ("libalias.so",))] == [(one.path, one.names) for one in contents.binaries]
    assert {"dev", "usr/out", "usr/out.so"} == {skipped.path for skipped in contents.skipped}


def test_chains_of_links(tmp_path: Path) -> None:
    """A chain of more links than the kernel follows is read like a link to nothing."""
    for number in range(1100):
        (tmp_path / f"l{number}").symlink_to(f"l{number + 1}")
    for contents in (read(tmp_path), read_root(str(tmp_path))):
        assert [] == contents.binaries
        assert "l0" in {skipped.path for skipped in contents.skipped}


def test_paths_in_metadata_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit, the paths that RECORD files list are ignored; the binaries are read."""
    record = "".join(f"{name},,\n" for name in ("a.so", "b.so"))
    write(tmp_path, {"x-1.dist-info/RECORD": record, "a.so": elf(), "b.so": elf()})
    monkeypatch.setattr(folders, "_MAX_OWNED_SIZE", len(f"{tmp_path}/a.so") + 100)
    owners = {binary.path: binary.distribution for binary in read(tmp_path).binaries}
    assert owners == {"a.so": "x 1", "b.so": ""}
