"""Direct references (PEP 508): requirements with the URL or the path of a wheel."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import locked_versions
from tests.support.index import IndexServer
from tests.support.projects import (
    RUNNING,
    RUNNING_TARGET,
    locked,
    locked_package,
    project,
    run,
)
from tests.support.wheels import build_wheel

DIRECT = """[project]
name = "direct"
version = "1"
dependencies = [{requirements}]
[tool.minglibc]
glibc = "2.17"
python = ["{python}"]
exclude-newer = "2020-01-01"
"""


def write_direct(folder: Path, index: IndexServer, *requirements: str) -> Path:
    """A project with these requirements."""
    quoted = ", ".join(f"'{text}'" for text in requirements)
    return project(folder, index, DIRECT.format(requirements=quoted, python=RUNNING))


@pytest.fixture
def file_server() -> Iterator[IndexServer]:
    """A file server that is not the project's index."""
    with IndexServer() as server:
        yield server


def test_url(tmp_path: Path, index: IndexServer, file_server: IndexServer) -> None:
    """The lock records the URL and hash of a direct reference, its dependencies come from the index, and `sync` installs it."""
    index.add(build_wheel("a", "9.0"))
    index.add(build_wheel("b", "1.0"), upload_time="2019-01-01T00:00:00.000000Z")
    index.add(build_wheel("c", "1.0", requires=["a>=1"]), upload_time="2019-01-01T00:00:00.000000Z")
    wheel = build_wheel("a", "1.0", requires=["b"])
    file_server.add(wheel)
    url = f"{file_server.origin}/files/{wheel.filename}"
    digest = hashlib.sha256(wheel.content).hexdigest()
    folder = write_direct(tmp_path, index, f"a @ {url}#sha256={digest}", "c")
    locked(folder)
    assert {"a": "1.0", "b": "1.0", "c": "1.0"} == locked_versions(folder)
    assert [{"name": wheel.filename, "url": url, "hashes": {"sha256": digest}}] == locked_package(folder, "a")["wheels"]
    assert "index" not in locked_package(folder, "a")
    assert [] == [request.path for request in index.requests if "/a/" in request.path]
    synced = run(folder, "sync")
    assert 0 == synced.code, synced.err
    assert "+ a==1.0" in synced.err
    assert "a==1.0" in run(folder, "why", "a").out + run(folder, "tree").out


def test_url_without_hash(tmp_path: Path, index: IndexServer, file_server: IndexServer) -> None:
    """A URL without a hash is downloaded to compute it, with a warning."""
    wheel = build_wheel("a", "1.0")
    file_server.add(wheel)
    folder = write_direct(tmp_path, index, f"a @ {file_server.origin}/files/{wheel.filename}")
    ran = run(folder, "lock")
    assert 0 == ran.code, ran.err
    assert "its URL gives no sha256 for a-1.0-py3-none-any.whl" in ran.err
    assert {"sha256": hashlib.sha256(wheel.content).hexdigest()} == locked_package(folder, "a")["wheels"][0]["hashes"]


@pytest.mark.parametrize(
    "written", ["./wheels/{}", "file:wheels/{}", "file://{folder}/wheels/{}", "{folder}/wheels/{}"]
)
def test_path(tmp_path: Path, index: IndexServer, written: str) -> None:
    """A local wheel is locked with its path relative to the lock, however it is written; `sync` and `bundle` use it offline."""
    index.add(build_wheel("pip", "25.0"), upload_time="2019-01-01T00:00:00.000000Z")
    wheel = build_wheel("a", "1.0")
    folder = tmp_path / "project"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / wheel.filename).write_bytes(wheel.content)
    write_direct(folder, index, "a @ " + written.format(wheel.filename, folder=folder))
    locked(folder)
    relative = f"wheels/{wheel.filename}"
    assert relative == locked_package(folder, "a")["wheels"][0]["path"]
    synced = run(folder, "sync", "--offline")
    assert 0 == synced.code, synced.err
    bundled = run(folder, "bundle", "-o", str(tmp_path / "bundle"))
    assert 0 == bundled.code, bundled.err
    assert wheel.content == (tmp_path / "bundle" / "wheels" / wheel.filename).read_bytes()
    assert 0 == run(folder, "check").code
    refused = run(folder, "export")
    assert 2 == refused.code
    assert "a is a file on this machine" in refused.err


def test_changed_local_wheel(tmp_path: Path, index: IndexServer) -> None:
    """`sync` installs only the locked bytes; `lock` notices a changed file and locks it."""
    folder = write_direct(tmp_path, index, "a @ ./a-1.0-py3-none-any.whl")
    (folder / "a-1.0-py3-none-any.whl").write_bytes(build_wheel("a", "1.0").content)
    locked(folder)
    (folder / "a-1.0-py3-none-any.whl").write_bytes(build_wheel("a", "1.0", requires=["b"]).content)
    assert 1 == run(folder, "lock", "--check").code
    refused = run(folder, "sync")
    assert 1 == refused.code
    assert "pylock.toml is stale: a-1.0-py3-none-any.whl has changed" in refused.err
    refused = run(folder, "sync", "--frozen")
    assert 1 == refused.code
    assert "is not the file that was locked" in refused.err
    index.add(build_wheel("b", "1.0"), upload_time="2019-01-01T00:00:00.000000Z")
    locked(folder)
    assert 0 == run(folder, "sync").code


def test_above_the_cap(tmp_path: Path, index: IndexServer) -> None:
    """A direct reference to a wheel above the cap is an error with the cap that it needs."""
    tag = f"{RUNNING_TARGET.partition('-')[0]}-abi3-manylinux_2_28_x86_64"
    folder = write_direct(tmp_path, index, f"a @ ./a-1.0-{tag}.whl")
    (folder / f"a-1.0-{tag}.whl").write_bytes(build_wheel("a", "1.0", tag).content)
    refused = run(folder, "lock")
    assert 1 == refused.code
    assert "needs glibc 2.28" in refused.err
    assert 0 == run(folder, "lock", "--glibc", "2.28").code


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("a @ https://example.invalid/a-1.0.tar.gz", "is not a wheel"),
        (
            "a @ git+https://example.invalid/a",
            "is in a version control repository, which minglibc does not read\nhint: build a wheel of it",
        ),
        ("a @ https://me:secret@example.invalid/a-1.0-py3-none-any.whl", "contains credentials"),
        ("a @ ../a-1.0-py3-none-any.whl", "is outside the project"),
        ("a @ file:///srv/a-1.0-py3-none-any.whl", "is outside the project"),
        ("a @ file://elsewhere.invalid/a-1.0-py3-none-any.whl", "is on another machine"),
        ("a @ ./b-1.0-py3-none-any.whl", "is a wheel of b"),
        ("a @ ./a-x-py3-none-any.whl", "an invalid wheel file name"),
    ],
)
def test_invalid_reference(tmp_path: Path, index: IndexServer, requirement: str, problem: str) -> None:
    """A reference to something else than a wheel, to a path outside the project, or with a password is a usage error."""
    ran = run(write_direct(tmp_path, index, requirement), "lock")
    assert 2 == ran.code
    assert problem in ran.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "can't read"), (b"no wheel", "is unusable"), (build_wheel("a", "1.0").content, "is not the expected file")],
)
def test_invalid_local_wheel(tmp_path: Path, index: IndexServer, content: bytes | None, problem: str) -> None:
    """A local wheel that is missing, broken, or has another hash is an error with its path."""
    folder = write_direct(tmp_path, index, f"a @ ./a-1.0-py3-none-any.whl#sha256={'0' * 64}")
    if content:
        (folder / "a-1.0-py3-none-any.whl").write_bytes(content)
    ran = run(folder, "lock")
    assert 1 == ran.code
    assert problem in ran.err
    assert "a-1.0-py3-none-any.whl" in ran.err
