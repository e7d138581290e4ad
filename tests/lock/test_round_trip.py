"""Whatever an index serves, a lock that is written can be read, and has the same content."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from minglibc.errors import IndexAnswerError
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response
from minglibc.lock import reader
from minglibc.lock.document import PROJECT, Inputs, dumps, merge
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.resolution import Resolution

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 27))
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


def _locked_files(entries: list[Mapping[str, Any]]) -> list[Artifact]:
    """The files of a page that can be locked, as `lock` selects them; each has a hash."""
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": "a-b", "files": entries}).encode()
    try:
        page = read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, body), "a-b")
    except IndexAnswerError:
        return []
    compatibility = TargetCompatibility(TARGET, allow_sdist=["a-b"])
    files = (compatibility.best(page, position) for position in range(len(page.versions)))
    return [file._replace(hash=file.hash or "sha256:" + 64 * "0") for file in files if file is not None]


@given(st.lists(ENTRIES, min_size=1, max_size=3))
@example(_entry(hashes={"sha256": "0"}))
@example(_entry(**{"upload-time": "2024-01-01T00:00:00+01:02:03"}))
@example(_entry(url="https://[v1.x]/a_b-1.0-py3-none-any.whl"))
@example(_entry(filename="a__b-1.0-py3-none-any.whl"))
def test_written_locks_are_valid(entries: list[Mapping[str, Any]]) -> None:
    """A lock of any file that an index serves is accepted, and installs that file from that URL with that hash."""
    for file in _locked_files(entries):
        resolution = Resolution(TARGET, {file.name: file}, {}, {PROJECT: (file.name,)}, {})
        inputs = Inputs("sha256:" + 64 * "0", "https://example.invalid/simple/")
        text = dumps(merge([resolution], inputs), [TARGET], inputs)
        lock = reader.loads(text)
        ((package, locked),) = lock.select(TARGET)
        assert (file.name, file.filename, file.url) == (package.name, locked.filename, locked.url)
        assert {file.hash} == {f"{algorithm}:{digest}" for algorithm, digest in locked.hashes.items()}
        assert file.size == locked.size
        assert str(package.version) == file.version
