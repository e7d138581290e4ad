"""Libraries of the build machine: found with their headers, and listed after they were copied into a wheel."""

import json
import zipfile
from pathlib import Path

import pytest

from minglibc.build import grafted_libraries
from minglibc.build.grafted_libraries import grafted, linker_name, provide_libraries
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
    monkeypatch.setattr(grafted_libraries, "_HEADERS", str(system / "include"))
    monkeypatch.setattr(grafted_libraries, "_library_folders", lambda architecture: [str(libraries)])
    monkeypatch.setattr(grafted_libraries, "_files_beside", lambda path: [str(header), str(pc), "/", path])
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
        (None, []),
    ):
        path = tmp_path / "a-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.py", "")
            if text is not None:
                archive.writestr("a-1.dist-info/sboms/auditwheel.cdx.json", text)
        assert expected == grafted(str(path))
