"""The index client: odd mirrors, HTTP's caching rules, and a cache that is never trusted when it is damaged."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.cache.location import INDEX_FORMAT
from tests.support.commands import Ran, locked_versions, minglibc
from tests.support.faults import Fault
from tests.support.index import Exchange, IndexServer
from tests.support.wheels import build_wheel

Lock = Callable[..., Ran]


@pytest.fixture
def lock(tmp_path: Path, index: IndexServer) -> Lock:
    """Lock a project that requires a, which requires b, and return the output."""
    index.add(build_wheel("a", "1.0", requires=["b"], files={"a/data.bin": os.urandom(200_000)}))
    index.add(build_wheel("b", "1.0"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["a"]\n'
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n'
    )

    def run(*arguments: str) -> Ran:
        (tmp_path / "pylock.toml").unlink(missing_ok=True)
        ran = minglibc("lock", "--project", str(tmp_path), "--index-url", index.url, *arguments)
        assert 0 == ran.code, ran.err
        assert {"a": "1.0", "b": "1.0"} == locked_versions(tmp_path)
        return ran

    return run


def test_metadata_of_later_targets_is_prefetched(tmp_path: Path, index: IndexServer) -> None:
    """Each Python's wheel has its own metadata; that of all packages is requested at the same time."""
    names = ["a", "b", "c", "d"]
    for name in names:
        for python in ("cp310", "cp311"):
            tag = f"{python}-{python}-manylinux_2_17_x86_64"
            index.add(build_wheel(name, "1.0", tag, requires=["e"], metadata_extra=f"Keywords: {python}\n"))
        index.add(build_wheel(name, "2.0", "cp311-cp311-manylinux_2_17_x86_64"))
    index.add(build_wheel("e", "1.0"))
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = {names}\n'
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.10", "3.11"]\n'
    )
    pattern = "*-1.0-cp311-*.metadata"
    together = []

    def late(exchange: Exchange) -> None:
        end = time.monotonic() + 5
        while len(index.paths(pattern)) < len(names) and time.monotonic() < end:
            time.sleep(0.01)
        together.append(len(index.paths(pattern)))
        exchange.send(exchange.correct())

    index.fault(pattern, late)
    ran = minglibc("lock", "--project", str(tmp_path), "--index-url", index.url)
    assert 0 == ran.code, ran.err
    assert [4, 4, 4, 4] == together


def test_verbose(lock: Lock, index: IndexServer) -> None:
    """-v prints each request with its time, then what the cache has instead, and never a password."""
    index.credentials = "me", "s3cret"
    address = index.url.replace("://", "://me:s3cret@")
    err = lock("-v", "--index-url", address).err
    for url in (f"{index.url}a/", f"{index.url}b/", "a-1.0-py3-none-any.whl.metadata"):
        assert re.search(rf"requested \S*{re.escape(url)} in [0-9.]+s$", err, re.MULTILINE), err
    assert "resolving for CPython 3.11" in err
    err += lock("-v", "--index-url", address).err
    assert f"from the cache: {index.url}a/\n" in err
    assert "s3cret" not in err
    assert "from the cache" not in lock("--index-url", address).err
    index.max_age = 0
    assert f"unchanged: {index.url}a/ in " in lock("-v", "--refresh", "--index-url", address).err


def _statuses(index: IndexServer, pattern: str) -> list[int]:
    return [request.status for request in index.requests if pattern in request.path]


def test_metadata_files_that_the_page_does_not_list(lock: Lock, index: IndexServer) -> None:
    """If a mirror removes core-metadata from its pages and serves the files, no wheel is requested."""
    index.strip_core_metadata = True
    lock()
    assert [200, 200] == _statuses(index, ".metadata")
    assert [] == [request for request in index.requests if request.path.endswith(".whl")]


def test_metadata_from_ranges_of_a_wheel(lock: Lock, index: IndexServer) -> None:
    """Without metadata files, METADATA is read from the end of the wheel, which is not downloaded completely."""
    index.strip_core_metadata, index.serve_metadata = True, False
    lock()
    requests = [request for request in index.requests if request.path.endswith(".whl")]
    assert {206} == {request.status for request in requests}
    assert all("Range" in request.headers for request in requests)


def test_metadata_from_a_whole_wheel(lock: Lock, index: IndexServer) -> None:
    """If the server does not support ranges, the wheel is downloaded and its hash is checked."""
    index.strip_core_metadata, index.serve_metadata, index.ranges = True, False, False
    lock()
    assert {200} == set(_statuses(index, ".whl")) - {404}


@pytest.mark.parametrize("relative", [True, "../../packages/packages/"])
def test_relative_urls(lock: Lock, index: IndexServer, relative: bool | str) -> None:  # noqa: FBT001  a table's column
    """Relative URLs are resolved against the page, and the lock has absolute ones."""
    index.relative_urls = relative
    lock()


def test_html_only(lock: Lock, index: IndexServer) -> None:
    """An index that has only HTML pages (PEP 503) is supported."""
    index.html_only = True
    lock()


def test_project_json_without_a_page(lock: Lock, index: IndexServer) -> None:
    """If the Simple API has no page, the project JSON API is requested before a project is unknown."""
    index.fault("/simple/*", Fault.status(404))
    lock()
    assert [200, 200] == _statuses(index, "/pypi/")


def test_fresh_pages_are_not_requested(lock: Lock, index: IndexServer) -> None:
    """Within max-age, a second lock sends no request."""
    index.max_age = 600
    lock()
    index.requests[:] = []
    lock()
    assert [] == index.requests


def test_stale_pages_are_revalidated(lock: Lock, index: IndexServer) -> None:
    """After max-age, the page is requested with its ETag, and a 304 makes it fresh again; metadata does not expire."""
    index.max_age = 0
    lock()
    index.requests[:] = []
    lock()
    assert [304, 304] == _statuses(index, "/simple/")
    assert [] == _statuses(index, ".metadata")
    index.max_age = 600
    lock()
    index.requests[:] = []
    lock()
    assert [] == index.requests


def test_pages_from_the_future_are_revalidated(lock: Lock, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that was cached while the clock was ahead is revalidated."""
    index.max_age = 600
    lock()
    index.requests[:] = []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    lock()
    assert [304, 304] == _statuses(index, "/simple/")


def test_server_without_caching_headers(lock: Lock, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ETag and Cache-Control a page is fresh for ten minutes."""
    index.etags, index.max_age = False, None
    lock()
    index.requests[:] = []
    lock()
    assert [] == index.requests
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)
    lock()
    assert [200, 200] == _statuses(index, "/simple/")


def test_changed_page_is_read_again(lock: Lock, index: IndexServer, tmp_path: Path) -> None:
    """A page with another ETag replaces the cached one."""
    index.max_age = 0
    lock()
    index.add(build_wheel("b", "2.0"))
    (tmp_path / "pylock.toml").unlink()
    ran = minglibc("lock", "--project", str(tmp_path), "--index-url", index.url)
    assert " + b 2.0" in ran.err


def test_requests_are_few(lock: Lock, index: IndexServer) -> None:
    """A cold lock requests each page and each metadata file once, and reuses connections."""
    lock()
    paths = [request.path for request in index.requests]
    assert sorted(set(paths)) == sorted(paths)
    assert 4 == len(paths)


def _entries() -> list[Path]:
    """The files of the cache of pages and metadata."""
    return [path for path in Path(os.environ["MINGLIBC_CACHE_DIR"]).glob("index-*/**/*") if path.is_file()]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:20] + bytes([data[20] ^ 64]) + data[21:],
    ],
    ids=["emptied", "cut", "last bit flipped", "checksum flipped", "head flipped"],
)
def test_damaged_cache_is_fetched_again(lock: Lock, index: IndexServer, damage: Callable[[bytes], bytes]) -> None:
    """Changed, truncated and empty cache files are detected and fetched again; of the journal, the damaged lines."""
    lock()
    assert 3 == len(_entries())
    for entry in _entries():
        entry.write_bytes(damage(entry.read_bytes()))
    index.requests[:] = []
    lock()
    assert 3 <= len(index.requests) <= 4
    index.requests[:] = []
    lock()
    assert [] == index.requests


def test_damage_that_is_detected_late_restarts_the_lock_once(lock: Lock, index: IndexServer) -> None:
    """If lines of a page turn out to be damaged during a lock, it restarts with one warning, whatever else is damaged."""
    lock()
    pages = [entry for entry in _entries() if entry.parent.parent.name == "pages"]
    assert len(pages) > 1
    for page in pages:
        data = page.read_bytes()
        position = data.rindex(b".whl")
        page.write_bytes(data[:position] + b"!" + data[position + 1 :])
    index.requests[:] = []
    assert 1 == lock().err.count("starting again")
    assert len(pages) == len({request.path for request in index.requests})


def test_cache_of_another_format_is_not_read(lock: Lock) -> None:
    """Each format has a folder of its own."""
    lock()
    (folder,) = {entry.relative_to(os.environ["MINGLIBC_CACHE_DIR"]).parts[0] for entry in _entries()}
    assert INDEX_FORMAT == folder


def test_unwritable_cache_is_one_warning(lock: Lock, tmp_path: Path) -> None:
    """If the cache can't be written, the lock succeeds with one warning."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is due")
    output = lock("--cache-dir", str(blocked)).err
    assert 1 == output.count("warning: cannot write to the cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user needs root")
def test_entries_of_another_user_are_replaced(lock: Lock, index: IndexServer) -> None:
    """Cache entries of another user are fetched again and replaced."""
    lock()
    for entry in _entries():
        os.chown(entry, 12345, 12345)
    index.requests[:] = []
    lock()
    assert 4 == len(index.requests)
    index.requests[:] = []
    lock()
    assert [] == index.requests


@pytest.mark.skipif(os.geteuid() != 0, reason="giving folders to another user needs root")
def test_cache_of_another_user_is_one_warning(lock: Lock, index: IndexServer) -> None:
    """A cache folder of another user is neither read nor written."""
    lock()
    folder = Path(os.environ["MINGLIBC_CACHE_DIR"]) / INDEX_FORMAT
    os.chown(folder, 12345, 12345)
    before = {entry: entry.read_bytes() for entry in _entries()}
    index.requests[:] = []
    assert 1 == lock().err.count("belongs to another user; continuing without it")
    assert 4 == len(index.requests)
    assert before == {entry: entry.read_bytes() for entry in _entries()}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_cache_on_a_full_disk(tmp_path: Path, index: IndexServer) -> None:
    """If the disk of the cache is full, there is one warning, and no incomplete file is left."""
    index.add(build_wheel("a", "1.0"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["a"]\n'
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n'
    )
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=16k,mode=700 tmpfs {small} && (head -c 20k /dev/zero > {small}/filler || true) 2>/dev/null && "
        f"{sys.executable} -m minglibc lock --project {tmp_path} --index-url {index.url} --cache-dir {small}; "
        f"code=$?; find {small} -type f -name '*.tmp'; exit $code"
    )
    ran = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in ran.stderr and ran.returncode:
        pytest.skip(f"no mount namespaces here: {ran.stderr.strip()}")
    assert 0 == ran.returncode, ran.stderr
    assert "" == ran.stdout
    assert 1 == ran.stderr.count("warning: cannot write to the cache")
    assert (tmp_path / "pylock.toml").exists()


def test_credentials_are_not_stored(tmp_path: Path, lock: Lock, index: IndexServer) -> None:
    """The user name and password of the index URL are sent to the index, and are in no file and no message."""
    index.credentials = ("user", "s3cret")
    ran = minglibc(
        *("lock", "-vv", "--project", str(tmp_path)),
        *("--index-url", index.url.replace("http://", "http://user:s3cret@")),
    )
    assert 0 == ran.code, ran.err
    left = [path for path in [*tmp_path.rglob("*"), *_entries()] if path.is_file() and b"s3cret" in path.read_bytes()]
    assert [] == left
    assert "s3cret" not in ran.err + ran.out
    index.credentials = ("user", "another")
    ran = minglibc(
        *("lock", "-vv", "--upgrade", "--refresh", "--project", str(tmp_path)),
        *("--index-url", index.url.replace("http://", "http://user:s3cret@")),
    )
    assert 3 == ran.code
    assert "401" in ran.err
    assert "s3cret" not in ran.err + ran.out
