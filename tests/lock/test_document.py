"""The lock as a file: what it says, what it refuses when it is read back."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock

from minglibc.errors import LockError
from minglibc.lock import reader
from minglibc.lock.changes import changes
from minglibc.lock.digest import seal
from minglibc.lock.document import Inputs, dumps
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

INPUTS = "sha256:" + "0" * 64


@pytest.fixture
def text(tmp_path: Path, index: IndexServer) -> str:
    """A lock of a, which requires b, for two Pythons and two architectures; b differs by Python, c by architecture."""
    index.add(build_wheel("a", "1.0", requires=["b", "c; platform_machine == 'aarch64'"]))
    index.add(build_wheel("b", "1.0", "cp39-cp39-manylinux_2_17_x86_64.manylinux_2_17_aarch64"))
    index.add(build_wheel("b", "2.0", "cp311-cp311-manylinux_2_17_x86_64.manylinux_2_17_aarch64"))
    index.add(build_wheel("c", "1.0"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["a"]\n[tool.minglibc]\n'
        'glibc = "2.17"\npython = ["3.9", "3.11"]\narchitectures = ["x86_64", "aarch64"]\n'
    )
    ran = minglibc("lock", "--project", str(tmp_path), "--index-url", index.url)
    assert 0 == ran.code, ran.err
    return (tmp_path / "pylock.toml").read_text(encoding="utf-8")


def test_packaging_reads_the_lock(text: str) -> None:
    """packaging.pylock accepts the file, with an environment per target and all keys of the standard."""
    pylock = Pylock.from_dict(tomllib.loads(text))
    assert 4 == len(pylock.environments or ())
    assert ("1.0", "minglibc", ">=3.9") == (str(pylock.lock_version), pylock.created_by, str(pylock.requires_python))
    wheel = next(wheel for package in pylock.packages for wheel in package.wheels or ())
    assert wheel.size
    assert wheel.upload_time
    assert {"sha256"} == set(wheel.hashes)


def test_package_markers(text: str) -> None:
    """The marker of a package for some targets has only the Python, or only the machine, if that is enough."""
    markers = {(p["name"], p["version"]): p.get("marker") for p in tomllib.loads(text)["packages"]}
    assert {
        ("a", "1.0"): None,
        ("b", "1.0"): "python_version == '3.9'",
        ("b", "2.0"): "python_version == '3.11'",
        ("c", "1.0"): "platform_machine == 'aarch64'",
    } == markers


def test_dependency_on_one_of_two_versions(text: str) -> None:
    """A dependency has a version if the lock has two versions of the package (PEP 751)."""
    packages = {(p["name"], p["version"]): p for p in tomllib.loads(text)["packages"]}
    expected = [{"name": "b", "version": "1.0"}, {"name": "b", "version": "2.0"}, {"name": "c"}]
    assert expected == packages["a", "1.0"]["dependencies"]


def test_tool_table_is_last(text: str) -> None:
    """[tool.minglibc] is at the end: targets, number of packages, and the two digests in the last lines."""
    table = text[text.index("[tool.minglibc]") :]
    assert "packages = 4\n" in table
    assert re.search(r'\ninputs = "sha256:[0-9a-f]{64}"\ntext = "sha256:[0-9a-f]{64}"\n\Z', table)
    assert 4 == len(reader.loads(text).targets)


def _resealed(document: dict[str, Any]) -> str:
    """A lock that somebody edited cleverly: the digests are right, the content is not."""
    targets = reader.loads_targets(document)
    table = document.pop("tool")["minglibc"]
    text = dumps(document, targets, Inputs(table["inputs"], ""))
    body = text[: text.rindex('inputs = "')].replace(
        f"packages = {len(document['packages'])}", f"packages = {table['packages']}"
    )
    return seal(body, table["inputs"])


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a whole package removed": (lambda d: d["packages"].pop(1), "b|packages"),
    "all packages removed": (lambda d: d["packages"].clear(), "packages"),
    "a dependency removed": (lambda d: d.update(packages=[p for p in d["packages"] if p["name"] != "c"]), "c"),
    "a hash weakened": (lambda d: d["packages"][0]["wheels"][0].update(hashes={"md5": "0" * 32}), "a-1.0"),
    "no hash": (lambda d: d["packages"][0]["wheels"][0].update(hashes={}), "hash"),
    "another scheme": (
        lambda d: d["packages"][0]["wheels"][0].update(url="file:///tmp/a-1.0-py3-none-any.whl"),
        "a-1.0",
    ),
    "negative size": (lambda d: d["packages"][0]["wheels"][0].update(size=-1), "a-1.0"),
    "another project's wheel": (lambda d: d["packages"][0].update(wheels=d["packages"][1]["wheels"]), "b"),
    "a name that is not normalized": (lambda d: d["packages"][0].update(name="A"), "A"),
    "a garbage version": (lambda d: d["packages"][0].update(version="x"), "version"),
    "a garbage marker": (lambda d: d["packages"][0].update(marker="nonsense"), "marker"),
    "a garbage specifier": (lambda d: d["packages"][0].update({"requires-python": "x"}), "requires-python"),
    "lock-version 2": (lambda d: d.update({"lock-version": "2.0"}), "2.0"),
    "lock-version a number": (lambda d: d.update({"lock-version": 1}), "lock-version"),
    "a wheel above the cap": (
        lambda d: d["packages"][1]["wheels"][0].update(
            name="b-1.0-cp39-cp39-manylinux_2_28_x86_64.whl",
            url="https://example.invalid/b-1.0-cp39-cp39-manylinux_2_28_x86_64.whl",
        ),
        "b-1.0-cp39-cp39-manylinux_2_28_x86_64.whl needs glibc 2.28",
    ),
    "a package twice": (lambda d: d["packages"].append(d["packages"][0]), "a"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_lock(text: str, edit: str) -> None:
    """An edited lock is rejected with the problem, even if the digests were updated."""
    change, message = EDITS[edit]
    document = tomllib.loads(text)
    change(document)
    with pytest.raises(LockError, match=message):
        reader.loads(_resealed(document))


@pytest.mark.parametrize(
    "row",
    [
        '{ name = "a" }',
        '{ name = "a", url = 1 }',
        '{ name = "a", url = "file:///x" }',
        '{ name = "a", url = "https://u:p@x/" }',
    ],
)
def test_indexes_in_the_lock(text: str, row: str) -> None:
    """A lock from one unnamed index lists none; invalid URLs are an error."""
    assert "indexes" not in text
    assert {} == reader.loads(text).indexes
    body = text[: text.rindex('inputs = "')].replace("targets = [", f"indexes = [{row}]\ntargets = [")
    with pytest.raises(LockError, match="is damaged"):
        reader.loads(seal(body, "sha256:" + 64 * "0"))


def test_truncated_lock(text: str) -> None:
    """A truncated lock is rejected, even if it is still valid TOML."""
    for length in range(0, len(text) - 1, 97):
        with pytest.raises(LockError):
            reader.loads(text[:length])
    for border in re.finditer(r"^\[\[packages\]\]", text, re.MULTILINE):
        with pytest.raises(LockError):
            reader.loads(text[: border.start()])
        with pytest.raises(LockError):
            reader.loads(text[: border.start()] + text[text.index("[tool.minglibc]") :])


def test_changes() -> None:
    """The differences of two locks are the added, removed and changed packages."""
    before, after = {"a": ["1"], "b": ["1"], "c": ["1", "2"]}, {"a": ["2"], "c": ["1", "2"], "d": ["1"]}
    expected = [("a", "1", "2"), ("b", "1", None), ("d", None, "1")]
    assert expected == changes(before, after)
