"""Libraries of the build machine: found with their headers, and listed after they were copied into a wheel."""

import json
import shlex
import zipfile
from pathlib import Path

import pytest

from minglibc.build import grafted_libraries
from minglibc.build.grafted_libraries import grafted, linker_name, provide_libraries
from minglibc.build.system_packages import files_beside, owner_of
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.library_names import library_name
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target

TARGET = Target(PythonVersion.parse("3.11"), "x86_64", GlibcVersion(2, 34))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pq", "pq"),
        ("libpq", "pq"),
        ("libpq.so.5", "pq"),
        ("libpq.so", "pq"),
        ("libglib-2.0.so.0.7400.6", "glib-2.0"),
        ("lib", "lib"),
        ("stdc++", "stdc++"),
        ("", ""),
        ("a b", ""),
        ("../x", ""),
        ("-l", ""),
        ("a/b", ""),
    ],
)
def test_library_names(text: str, name: str) -> None:
    """The name with which a linker knows the library."""
    assert name == library_name(text)


def test_only_named_libraries_are_provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library, the headers and the .pc file of its package are linked, and the .pc files that it requires."""
    system = tmp_path / "system"
    libraries = system / "lib"
    (libraries / "pkgconfig").mkdir(parents=True)
    (system / "include" / "x86_64-linux-gnu").mkdir(parents=True)
    (libraries / "libx.so").touch()
    (libraries / "libother.so").touch()
    pc = libraries / "pkgconfig" / "x.pc"
    pc.write_text("Name: x\nRequires.private: other >= 1, none\n", encoding="utf-8")
    (libraries / "pkgconfig" / "other.pc").write_text("Name: other\n", encoding="utf-8")
    header = system / "include" / "x86_64-linux-gnu" / "x.h"
    header.touch()
    monkeypatch.setattr(grafted_libraries, "_HEADERS", (str(system / "include"),))
    monkeypatch.setattr(grafted_libraries, "_library_folders", lambda architecture: [str(libraries)])
    monkeypatch.setattr(grafted_libraries, "files_beside", lambda path: [str(header), str(pc), "/", path])
    variables = provide_libraries(["x"], TARGET, str(tmp_path / "folder"))
    folder = tmp_path / "folder"
    assert ["libx.so"] == [path.name for path in (folder / "lib").iterdir()]
    assert ["x.h"] == [path.name for path in (folder / "include").iterdir()]
    assert {"x.pc", "other.pc"} == {path.name for path in (folder / "pkgconfig").iterdir()}
    assert f"-I{folder / 'include'}" == variables["CFLAGS"]
    assert f"-L{folder / 'lib'}" == variables["LDFLAGS"]
    assert {} == provide_libraries([], TARGET, str(tmp_path / "none"))
    with pytest.raises(EnvironmentProblem, match=r"this machine has no liby\.so for x86_64"):
        provide_libraries(["y"], TARGET, str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="need glibc"):
        provide_libraries(["x"], TARGET._replace(cap=MuslVersion(1, 2)), str(tmp_path / "musl"))


def write_program(path: Path, answers: dict[str, str]) -> None:
    """Write a program that prints the answer to its arguments, and fails without one."""
    cases = "".join(f"{shlex.quote(question)}) echo {shlex.quote(answer)};;\n" for question, answer in answers.items())
    path.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1;;\nesac\n', encoding="utf-8")
    path.chmod(0o755)


def test_packages_of_rpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dpkg, rpm names the package of a library and its files, and those of the development packages it requires."""
    query = "-qf --queryformat %{NAME}\n"
    answers = {
        f"{query} /usr/lib64/libx.so": "x-devel",
        f"{query} /usr/lib64/libx.so.1": "x-libs",
        "-q --requires x-devel": "/usr/bin/pkg-config\nglibc-devel\nlibx.so.1()(64bit)\ny-devel(x86-64) >= 2\npkgconfig(y)",
        "-ql x-devel": "/usr/include/x.h\n/usr/lib64/libx.so",
        "-ql y-devel": "/usr/include/y.h",
    }
    write_program(tmp_path / "rpm", answers)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ["/usr/include/x.h", "/usr/lib64/libx.so", "/usr/include/y.h"] == files_beside("/usr/lib64/libx.so")
    assert "x-libs" == owner_of("/usr/lib64/libx.so.1")
    assert "" == owner_of("/usr/lib64/libother.so")


def test_files_without_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers and .pc files of a library that no package has are those with its name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("lib/libx.so", "lib/pkgconfig/libx.pc", "include/x.h", "include/x-1/sub/a.h", "include/other.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["include/x-1/sub/a.h", "include/x.h", "lib/pkgconfig/libx.pc"]
    assert [str(tmp_path / name) for name in expected] == files_beside(str(tmp_path / "lib" / "libx.so"))
    assert "" == owner_of(str(tmp_path / "lib" / "libx.so"))


def test_linker_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library can have another name in ELF files than for linkers; one that this machine lacks is named by its file."""
    monkeypatch.setattr(grafted_libraries, "_library_folders", lambda architecture: [str(tmp_path)])
    (tmp_path / "libyaml-0.so.2.0.9").touch()
    (tmp_path / "libyaml-0.so.2").symlink_to("libyaml-0.so.2.0.9")
    (tmp_path / "libyaml.so").symlink_to("libyaml-0.so.2.0.9")
    assert "yaml" == linker_name("libyaml-0.so.2", "x86_64")
    assert "other" == linker_name("libother.so.1", "x86_64")


def test_grafted_libraries_are_listed(tmp_path: Path) -> None:
    """They are read from the SBOM that auditwheel adds; a wheel without one, or with a damaged one, has none."""
    components = [
        {"type": "library", "name": "a", "version": "1", "purl": "pkg:pypi/a@1"},
        {"type": "library", "name": "libx5", "version": "2-1", "purl": "pkg:deb/debian/libx5@2-1"},
    ]
    for text, expected in (
        (json.dumps({"components": components}), ["libx5 2-1"]),
        (json.dumps({"components": 1}), []),
        ("{", []),
        ("[" * 100_000, []),
        (json.dumps({"components": components, "x": "y" * 5_000_000}), []),
        (None, []),
    ):
        path = tmp_path / "a-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.py", "")
            if text is not None:
                archive.writestr("a-1.dist-info/sboms/auditwheel.cdx.json", text)
        assert expected == grafted(str(path))


def test_copies_without_a_description_are_listed(tmp_path: Path) -> None:
    """Without an SBOM, the copied libraries are listed by their file names."""
    path = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.py", "a.libs/liblzma-aaead752.so.5.4.1", "a.libs/libx-1.0-00000000.so", "a.libs/README"):
            archive.writestr(name, "")
    assert ["liblzma.so.5.4.1", "libx-1.0.so"] == grafted(str(path))
