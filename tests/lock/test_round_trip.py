"""Whatever an index serves, a lock that is written can be read, and has the same content."""

import html
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from minglibc.errors import IndexAnswerError
from minglibc.index.flat_index import LocalIndex
from minglibc.index.local_files import hashed, url_of
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response
from minglibc.lock import reader
from minglibc.lock.document import Inputs, dumps, merge
from minglibc.lock.locked_files import LockedFolder
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target
from minglibc.resolve.candidates import PROJECT
from minglibc.resolve.resolution import Resolution

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 27))
TARGETS = st.lists(
    st.sampled_from(
        [
            TARGET,
            Target(PythonVersion(9), "x86_64", GlibcVersion(2, 17)),
            Target(PythonVersion(11), "aarch64", GlibcVersion(2, 28)),
            Target(PythonVersion(13), "x86_64", MuslVersion(1, 2)),
        ]
    ),
    min_size=1,
    max_size=3,
    unique=True,
)
PAGE_URL = "https://example.invalid/simple/a-b/"
NAMES = st.sampled_from(["a_b", "A.B", "a__b", "a-b", "a._b", "a+b", "a!b", "_a_b", "a_b_"])
VERSIONS = st.sampled_from(
    [
        "1.0",
        "1",
        "01.0",
        "1!2",
        "1.0+local.1",
        "1.0+LOCAL_1",
        "v1.0",
        "1.0_1",
        "1.0.post1",
        "1.0rc1",
        "1.0.dev0",
        "1..0",
    ]
)
BUILDS = st.sampled_from(
    ["", "", "-1", "-1a", "-1!+_.x", "-0001", "-1..", "-a", "-", "-1-2", "-9" * 3, "-" + "9" * 60, "-1é", "-٣"]
)
TAGS = st.sampled_from(
    [
        *(
            "py3-none-any",
            "py2.py3-none-any",
            "PY3-none-any",
            "py3.-none-any",
            "py3.py3-none.none-any.any",
            "py3-+-any",
        ),
        *("py3-none-any.win32", "py3.!-none-any", "py3-none-any.x_y", "cp311-cp311-manylinux_2_17_x86_64"),
        *("cp311-abi3.none-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp311-cp311-manylinux_2_28_x86_64.any"),
        *("cp311-cp311-manylinux_2_017_x86_64", "py3-none-any.", "--", "py3-none", ".py3-none-.any"),
    ]
)
TEXTS = st.text(st.sampled_from("a1.+-_/:@?#%[]\\\"' \n\t\x00\x1b\x7f\u2028\u202eé🙂"), max_size=12)
HOSTS = st.sampled_from(
    [
        "h",
        "h:80",
        "h:",
        "h:0",
        "h:99999",
        "[::1]",
        "[::1]:8",
        "[v1.x]",
        "[::1%25eth0]",
        "u@h",
        "u:p@h",
        "",
        "é",
        "h[::1]",
        "[",
        "h]",
    ]
)
URLS = st.one_of(
    st.builds("{}://{}/{}".format, st.sampled_from(["https", "http", "HTTPS", "file", "ftp"]), HOSTS, TEXTS),
    st.builds("https://h{}".format, TEXTS),
    TEXTS,
)
HASHES = st.dictionaries(
    st.sampled_from(["sha256", "sha512", "sha384", "md5", "SHA256", "x"]),
    st.sampled_from(
        ["0" * 64, "A" * 64, "0" * 96, "0" * 128, "0" * 63, "", "g" * 64, "\u0660" * 64, "0" * 64 + "\n", "0"]
    ),
    max_size=3,
)
TIMES = st.sampled_from(
    [
        *(None, "", "2024-01-01T00:00:00Z", "2024-01-01", "2024-W01-1", "2024-01-01T00:00:00+01:02:03", "x\n"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "2024-01-01T00:00:00-00:00:00.5"),
    ]
)
PYTHONS = st.sampled_from(
    [
        None,
        "",
        ">=3.6",
        ">=3.6.*",
        ">=3,",
        "==3.*",
        "===3.11",
        ">3.5\n",
        ">= '3.6'",
        "~=3.6",
        ">=3.6; x",
        "!=3.0.*",
        ">=3.6,!=3.9.x",
    ]
)
ENTRIES = st.fixed_dictionaries(
    {
        "filename": st.builds("{}-{}{}-{}.whl".format, NAMES, VERSIONS, BUILDS, TAGS)
        | st.builds("{}-{}{}".format, NAMES, VERSIONS, st.sampled_from([".tar.gz", ".zip", ".tar.gz\n"])),
        "url": URLS,
        "hashes": HASHES,
        "upload-time": TIMES,
        "requires-python": PYTHONS,
        "size": st.sampled_from([None, -1, 0, 2**63 - 1, 2**64 - 1]),
    }
)


def _entry(**values: Any) -> list[Mapping[str, Any]]:
    """A page with one file, which is acceptable except for *values*."""
    filename = "a_b-1.0-py3-none-any.whl"
    return [{"filename": filename, "url": f"https://example.invalid/{filename}", "hashes": {}, "size": 1} | values]


def _json_page(entries: list[Mapping[str, Any]]) -> ProjectPage:
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": "a-b", "files": entries}).encode()
    return read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, body), "a-b")


def _html_page(entries: list[Mapping[str, Any]]) -> ProjectPage:
    links = []
    for entry in entries:
        fragments = [f"#{algorithm}={digest}" for algorithm, digest in entry["hashes"].items()]
        attributes = {"href": f"{entry['url']}/{entry['filename']}{''.join(fragments[:1])}"}
        if entry.get("requires-python") is not None:
            attributes["data-requires-python"] = entry["requires-python"]
        texts = " ".join(f'{name}="{html.escape(text)}"' for name, text in attributes.items())
        links.append(f"<a {texts}>{html.escape(entry['filename'])}</a>")
    body = "".join(links).encode("utf-8", "surrogatepass")
    return read_page(Response(PAGE_URL, 200, {"content-type": "text/html"}, body), "a-b")


def _select(page: ProjectPage, targets: list[Target]) -> list[dict[Target, Artifact]]:
    """For each version, the file for each target that has one, as `lock` selects them; each has a hash."""
    selections = []
    compatibilities = [TargetCompatibility(target, allow_sdist=["a-b"]) for target in targets]
    for position in range(len(page.versions)):
        files = {one.target: file for one in compatibilities if (file := one.best(page, position)) is not None}
        selections.append(
            {target: file._replace(hash=file.hash or "sha256:" + 64 * "0") for target, file in files.items()}
        )
    return selections


def _check_round_trip(files: Mapping[Target, Artifact], folder: str = "") -> None:
    """A lock of *files* is accepted, and each target installs its file from that URL with that hash."""
    if not files:
        return
    resolutions = [
        Resolution(target, {file.name: file}, {}, {PROJECT: (file.name,)}, {}) for target, file in files.items()
    ]
    inputs = Inputs("sha256:" + 64 * "0", "https://example.invalid/simple/", folder=folder)
    text = dumps(merge(resolutions, inputs), list(files), inputs)
    lock = reader.loads(text)
    assert not any(line for line in text.splitlines() if not line.isprintable())
    for target, file in files.items():
        ((package, locked),) = lock.select(target)
        assert (file.name, file.filename) == (package.name, locked.filename)
        path = None if isinstance(locked, LockedFolder) else locked.path
        assert file.url == url_of(locked.url, path, folder)
        assert {file.hash} == {f"{algorithm}:{digest}" for algorithm, digest in locked.hashes.items()}
        assert file.size == locked.size
        assert str(package.version) == file.version


@given(st.lists(ENTRIES, min_size=1, max_size=4), TARGETS, st.sampled_from([_json_page, _html_page]))
@example(_entry(hashes={"sha256": "0"}), [TARGET], _json_page)
@example(_entry(**{"upload-time": "2024-01-01T00:00:00+01:02:03"}), [TARGET], _json_page)
@example(_entry(url="https://[v1.x]/a_b-1.0-py3-none-any.whl"), [TARGET], _json_page)
@example(_entry(filename="a__b-1.0-py3-none-any.whl"), [TARGET], _json_page)
@example(_entry(url="https://example.invalid/x%2F..%0a"), [TARGET], _html_page)
def test_written_locks_are_valid(
    entries: list[Mapping[str, Any]], targets: list[Target], read: Callable[[list[Mapping[str, Any]]], ProjectPage]
) -> None:
    """A lock of any files that an index serves is accepted, and each target installs its file."""
    try:
        page = read(entries)
    except IndexAnswerError:
        return
    versions = _select(page, targets)
    for files in versions:
        _check_round_trip(files)
    # Each target may have another version.
    _check_round_trip({target: files[target] for files in versions for target in files})


@given(
    st.text(st.sampled_from("a1.+-_:@?#%[]\\\"' \n\t\x1b\x7f\u2028\u202eé🙂\udcff"), max_size=8),
    st.lists(st.builds("{}-{}{}-{}.whl".format, NAMES, VERSIONS, BUILDS, TAGS), min_size=1, max_size=3),
    TARGETS,
)
@example("", ["a_b-1.0-py3-none-any.whl"], [TARGET])
@example("%2e", ["a_b-1.0-py3-none-any.whl", "a_b-2.0-\udcff-py3-none-any.whl"], [TARGET])
@example("\n", ["a_b-1.0-py3-none-any.whl"], [TARGET])
@example("\\", ["a_b-1.0-py3-none-any.whl"], [TARGET])
def test_local_files(name: str, filenames: list[str], targets: list[Target]) -> None:
    """A lock of files in a folder of any name is accepted, with their paths, or they are not locked."""
    with TemporaryDirectory() as root:
        folder = os.path.join(root, name)
        os.makedirs(folder, exist_ok=True)
        for filename in filenames:
            Path(folder, filename).write_bytes(b"x")
        page = LocalIndex(f"file://{quote(os.fsencode(folder))}", root).project("a-b")
        for files in _select(page, targets) if page is not None else []:
            _check_round_trip({target: hashed(file._replace(hash="")) for target, file in files.items()}, root)
