"""Container images made of small layers."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# The content of a file, or how an entry is made: "->TARGET" for a link, "=>TARGET" for a hard link, "/" for a folder, "|" for a FIFO.
Layer = Sequence[tuple[str, bytes | str]]


def tar(entries: Layer) -> bytes:
    """An archive with these entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
                continue
            kinds = {"->": tarfile.SYMTYPE, "=>": tarfile.LNKTYPE, "/": tarfile.DIRTYPE, "|": tarfile.FIFOTYPE}
            entry.type = kinds[content[:2] if len(content) > 1 else content]
            entry.linkname = content[2:]
            archive.addfile(entry)
    return stream.getvalue()


def docker_save(layers: Sequence[bytes], tags: Sequence[str] = ("app:1",)) -> bytes:
    """What `docker save` writes for one image; each of *layers* is an archive."""
    names = [f"{number}/layer.tar" for number, _ in enumerate(layers)]
    manifest = [{"Config": "config.json", "RepoTags": list(tags), "Layers": names}]
    return tar([("manifest.json", json.dumps(manifest).encode()), *zip(names, layers, strict=True)])


def oci_layout(layers: Sequence[bytes], *, nested: bool = False) -> Mapping[str, bytes]:
    """The files of an OCI image layout; with *nested*, its index lists another one, with an attestation."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}"}

    image = add(json.dumps({"layers": [add(layer) for layer in layers]}).encode())
    entries: list[Mapping[str, object]] = [{**image, "platform": {"os": "linux", "architecture": "amd64"}}]
    if nested:
        entries.append({**add(b"{}"), "platform": {"os": "unknown", "architecture": "unknown"}})
        entries = [add(json.dumps({"manifests": entries}).encode())]
    files["index.json"] = json.dumps({"manifests": entries}).encode()
    return files


def write_image(path: Path, layers: Sequence[Layer], form: str) -> Path:
    """Write an image in one of FORMS to *path*."""
    packed = [tar(layer) for layer in layers]
    if "layers.gz" in form:
        packed = [gzip.compress(layer) for layer in packed]
    if form.startswith("docker"):
        content = docker_save(packed)
    else:
        files = oci_layout(packed, nested="nested" in form)
        if "folder" in form:
            for name, data in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
            return path
        content = tar([(f"./{name}", data) for name, data in files.items()])
    path.write_bytes(gzip.compress(content) if form.endswith("whole.gz") else content)
    return path


FORMS = ("docker", "docker layers.gz", "docker whole.gz", "oci", "oci nested", "oci folder layers.gz")
