"""Container images: how layers are merged, and archives that are not images or are hostile."""

import gzip
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.audit import image
from minglibc.audit.image import unpacked
from minglibc.errors import EnvironmentProblem
from tests.support.images import FORMS, Layer, docker_save, oci_layout, tar, write_image


def merged(path: Path) -> dict[str, str]:
    """The files of the unpacked image: their content, or where they link to."""
    with unpacked(str(path)) as folder:
        paths = [Path(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files)]
        return {
            str(path.relative_to(folder)): f"->{path.readlink()}" if path.is_symlink() else path.read_text()
            for path in paths
            if path.is_symlink() or path.is_file()
        }


CASES: dict[str, tuple[list[Layer], Mapping[str, str]]] = {
    "an upper file replaces a lower one": ([[("a", b"1")], [("a", b"2")]], {"a": "2"}),
    "folders are merged": ([[("d", "/"), ("d/a", b"1")], [("d", "/"), ("d/b", b"2")]], {"d/a": "1", "d/b": "2"}),
    "a whiteout removes a file": ([[("d/a", b"1"), ("d/b", b"2")], [("d/.wh.a", b"")]], {"d/b": "2"}),
    "a whiteout removes a folder": ([[("d/a", b"1"), ("e", b"2")], [(".wh.d", b"")]], {"e": "2"}),
    "a whiteout of nothing": ([[("a", b"1")], [(".wh.b", b"")]], {"a": "1"}),
    "an opaque folder hides lower files": ([[("d/a", b"1")], [("d/.wh..wh..opq", b""), ("d/b", b"2")]], {"d/b": "2"}),
    "an opaque folder keeps files of its layer": (
        [[("d/a", b"1"), ("d/e/x", b"1")], [("d/b", b"2"), ("d/e/c", b"3"), ("d/.wh..wh..opq", b"")]],
        {"d/b": "2", "d/e/c": "3"},
    ),
    "a file replaces a folder": ([[("d/a", b"1")], [("d", b"2")]], {"d": "2"}),
    "a folder replaces a file": ([[("d", b"1")], [("d", "/"), ("d/a", b"2")]], {"d/a": "2"}),
    "a folder replaces a link": (
        [[("e/x", b"1"), ("d", "->e")], [("d", "/"), ("d/a", b"2")]],
        {"e/x": "1", "d/a": "2"},
    ),
    "a file is written through a link to a folder": (
        [[("usr/bin", "/"), ("bin", "->usr/bin")], [("bin/a", b"1")]],
        {"usr/bin/a": "1", "bin": "->usr/bin"},
    ),
    "an absolute link stays in the root": (
        [[("usr/bin", "/"), ("bin", "->/usr/bin")], [("bin/a", b"1")]],
        {"usr/bin/a": "1", "bin": "->/usr/bin"},
    ),
    "a link above the root stays in the root": (
        [[("x", "->../../../../tmp"), ("x/a", b"1")]],
        {"x": "->../../../../tmp", "tmp/a": "1"},
    ),
    "names above the root stay in the root": ([[("../../a", b"1"), ("/b", b"2")]], {"a": "1", "b": "2"}),
    "a hard link": ([[("a", b"1"), ("d/b", "=>a")]], {"a": "1", "d/b": "1"}),
    "a hard link to a lower layer": ([[("a", b"1")], [("b", "=>a")], [(".wh.a", b"")]], {"b": "1"}),
    "a hard link to itself": ([[("a", b"1"), ("a", "=>./a")]], {"a": "1"}),
    "devices are left out": ([[("a", "|"), ("b", b"1")], [("b", "|")]], {}),
    "only the beginning of other files is kept": ([[("a", b"0123456789")]], {"a": "01234567"}),
    "binaries and metadata are kept": (
        [[("a", b"\x7fELF56789"), ("x-1.dist-info/RECORD", b"0123456789")]],
        {"a": "\x7fELF56789", "x-1.dist-info/RECORD": "0123456789"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_layers_are_merged(case: str, tmp_path: Path) -> None:
    """The files of an image are those that its container would have."""
    layers, expected = CASES[case]
    assert expected == merged(write_image(tmp_path / "image", layers, "docker"))


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    """An image is the same in each form, with compressed layers or compressed as a whole."""
    image = write_image(tmp_path / "image", [[("a", b"1"), ("b", b"1")], [(".wh.a", b"")]], form)
    assert {"b": "1"} == merged(image)


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "b/b/a", "../a", "/a"])
CONTENTS = st.sampled_from([b"1", b"2", "/", "|", "->a", "->/b", "->../..", "->b/b", "=>a", "=>b/a"])
MARKS = st.sampled_from([(f"{folder}.wh.{name}", b"") for folder in ("", "a/", "b/b/") for name in ("a", ".wh..opq")])


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(NAMES, CONTENTS) | MARKS, max_size=6), min_size=1, max_size=3))
def test_nothing_outside_is_touched(layers: list[Layer]) -> None:
    """Whatever the layers contain, files beside the temporary folder stay as they are, and it is removed."""
    with TemporaryDirectory() as folder, patch.object(tempfile, "tempdir", folder):
        for name in ("a", "b"):
            Path(folder, name).write_bytes(b"outside")
        image = write_image(Path(folder, "image"), layers, "docker")
        with suppress(EnvironmentProblem):
            merged(image)
        assert ["a", "b", "image"] == sorted(os.listdir(folder))
        assert b"outside" == Path(folder, "a").read_bytes() == Path(folder, "b").read_bytes()


def oci_archive(files: Mapping[str, bytes]) -> bytes:
    """An OCI image layout as an archive."""
    return tar(list(files.items()))


TWO = json.dumps([{"Layers": [], "RepoTags": ["app:1"]}, {"Layers": [], "RepoTags": ["app:2"]}]).encode()
PLATFORMS = [{"digest": "sha256:0", "platform": {"os": "linux", "architecture": name}} for name in ("amd64", "arm64")]
INVALID: dict[str, tuple[bytes, str]] = {
    "another archive": (tar([("a", b"1")]), "is not a container image: it has neither manifest.json nor index.json"),
    "not an archive": (b"x" * 2000, "is not a valid image"),
    "an empty file": (b"", "is not a valid image"),
    "truncated": (docker_save([tar([("a", b"1" * 9000)])])[:9000], "is not a valid image"),
    "truncated gzip": (gzip.compress(docker_save([tar([("a", os.urandom(9000))])]))[:-2000], "is not a valid image"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "contains data compressed with zstd, which is not supported"),
    "a layer with zstd": (docker_save([b"\x28\xb5\x2f\xfd" + bytes(100)]), "contains data compressed with zstd"),
    "two images": (tar([("manifest.json", TWO)]), "contains 2 images: app:1, app:2; save one of them"),
    "two platforms": (
        oci_archive({"index.json": json.dumps({"manifests": PLATFORMS}).encode()}),
        "contains 2 images: linux/amd64, linux/arm64; save one of them",
    ),
    "no image": (tar([("manifest.json", b"[]")]), "contains no image"),
    "no JSON": (tar([("manifest.json", b"{")]), "manifest.json is not JSON"),
    "deep JSON": (tar([("manifest.json", b"[" * 100_000)]), "is not a valid image"),
    "a manifest of another form": (tar([("manifest.json", b'[{"Layers": {"a": 1}}]')]), "unknown form"),
    "a manifest without layers": (tar([("manifest.json", b'[{"Config": "x"}]')]), "unknown form"),
    "an index that lists itself": (
        oci_archive(
            {
                "index.json": json.dumps({"manifests": [{"digest": "sha256:x"}]}).encode(),
                "blobs/sha256/x": json.dumps({"manifests": [{"digest": "sha256:x"}]}).encode(),
            }
        ),
        "has no manifest with layers",
    ),
    "a missing layer": (
        tar([("manifest.json", b'[{"Layers": ["x.tar"]}]')]),
        "is not a complete image: it has no x.tar",
    ),
    "a whiteout of the parent": (
        docker_save([tar([("a/.wh...", b"")])]),
        "has a whiteout with an invalid name: .wh...",
    ),
    "a hard link to nothing": (
        docker_save([tar([("a", "=>../../etc/passwd")])]),
        "has a link to ../../etc/passwd, which is not a file",
    ),
    "a hard link to a folder": (docker_save([tar([("d", "/"), ("a", "=>d")])]), "which is not a file"),
    "links in a circle": (
        docker_save([tar([("a", "->b"), ("b", "->a"), ("a/x", b"")])]),
        "a link that leads nowhere: /",
    ),
    "a long name": (docker_save([tar([("x" * 300, b"")])]), "a name that is too long"),
    "deep folders": (docker_save([tar([("x/" * 100 + "y", b"")])]), "a path that is too long"),
    "a layer that is listed too often": (
        tar([("manifest.json", json.dumps([{"Layers": ["x"] * 150}]).encode()), ("x", tar([("a", bytes(500_000))]))]),
        "has layers that unpack to more than 64 MiB",
    ),
    "a bomb": (docker_save([gzip.compress(bytes(70 << 20))]), "has a layer that unpacks to more than 64 MiB"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_images(case: str, tmp_path: Path) -> None:
    """What is not an image, or not one image, is an error that says why."""
    content, message = INVALID[case]
    image = tmp_path / "image.tar"
    image.write_bytes(content)
    with pytest.raises(EnvironmentProblem) as caught, unpacked(str(image)):
        pass
    assert message in caught.value.message


def test_layout_that_names_files_outside(tmp_path: Path) -> None:
    """A digest in a layout's index can't name a file outside of the layout."""
    secret = tmp_path / "secret"
    secret.write_bytes(json.dumps({"layers": []}).encode())
    for digest in ("sha256:../../../secret", f"sha256:/{secret}", "../..:secret"):
        files = {**oci_layout([]), "index.json": json.dumps({"manifests": [{"digest": digest}]}).encode()}
        folder = tmp_path / "layout"
        folder.mkdir(exist_ok=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        with (
            pytest.raises(EnvironmentProblem, match=r"names a file outside of the image|it has no blobs"),
            unpacked(str(folder)),
        ):
            pass


def test_special_files(tmp_path: Path) -> None:
    """A FIFO is refused at once, and so is a folder that is no layout."""
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "pipe", "can't read"),
        (tmp_path, "is not a container image"),
        (tmp_path / "x", "can't read"),
    ):
        with pytest.raises(EnvironmentProblem, match=message), unpacked(str(path)):
            pass


def test_sparse_files_are_refused(tmp_path: Path) -> None:
    """A sparse file, whose content tarfile makes of its map, is refused."""
    header = tarfile.TarInfo("a")
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"}
    layer = header.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    (tmp_path / "image.tar").write_bytes(docker_save([layer]))
    with pytest.raises(EnvironmentProblem, match="it has a sparse file"), unpacked(str(tmp_path / "image.tar")):
        pass


def test_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of an image are limited, and so are the members of its layers."""
    monkeypatch.setattr(image, "_MAX_FILES", 3)
    monkeypatch.setattr(image, "_FREE_MEMBERS", 10)
    monkeypatch.setattr(image, "_MEMBER_SIZE", 1 << 20)
    (tmp_path / "many.tar").write_bytes(tar([("a", b"")] * 4))
    (tmp_path / "layers.tar").write_bytes(docker_save([tar([("a", b"")] * 20)]))
    for name, message in (("many", "it contains more than 3 files"), ("layers", "has too many files")):
        with pytest.raises(EnvironmentProblem, match=message), unpacked(str(tmp_path / f"{name}.tar")):
            pass
