"""Wheels are downloaded from an index on loopback into the cache, and their hashes are checked before use."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from minglibc.cache.wheels import FOLDER, LockedFile
from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError, WheelError
from minglibc.index.downloads import Wheelhouse
from minglibc.index.limits import Limits
from tests.support.faults import Fault
from tests.support.index import Answer, IndexServer
from tests.support.wheels import BuiltWheel, build_wheel

QUICK = Limits(timeout=2.0, deadline=5.0, retries=1)
WHEEL = build_wheel("b", "1.0", padding=100_000)


def published(index: IndexServer, wheel: BuiltWheel = WHEEL, *, size: bool = True) -> LockedFile:
    """*wheel* on *index*, as the lock describes it."""
    index.add(wheel)
    url = f"{index.origin}/files/{wheel.filename}"
    return LockedFile(wheel.filename, url, {"sha256": wheel.sha256}, len(wheel.content) if size else None)


def downloads(index: IndexServer) -> int:
    """The number of requests for wheels that *index* received."""
    return sum(request.path.endswith(".whl") for request in index.requests)


def parts(folder: Path) -> list[Path]:
    """Partial files in a cache."""
    return list(folder.rglob(".part-*"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache folder."""
    return tmp_path / "cache"


def test_a_wheel_is_downloaded_once(index: IndexServer, cache: Path) -> None:
    """The second fetch sends no request, and both return a path to the wheel's content."""
    wanted = published(index)
    for _ in range(2):
        with Wheelhouse(str(cache), limits=QUICK) as house:
            path = Path(house.fetch([wanted])[wanted.filename])
        assert path.read_bytes() == WHEEL.content
        assert path.is_relative_to(cache / FOLDER)
    assert downloads(index) == 1


def test_progress_is_reported(index: IndexServer, cache: Path) -> None:
    """on_progress is called for each file up to its last byte, with its size."""
    calls: list[tuple[str, int, int | None]] = []
    wanted = published(index)
    with Wheelhouse(str(cache), on_progress=lambda *arguments: calls.append(arguments)) as house:
        house.fetch([wanted])
    assert calls[-1] == (wanted.filename, len(WHEEL.content), len(WHEEL.content))


def test_parallel_downloads(index: IndexServer, cache: Path) -> None:
    """With slow responses, more than three of twelve downloads run at once."""
    wanted = [published(index, build_wheel(f"p{number}", "1.0")) for number in range(12)]
    running = [0, 0]

    def slow(exchange: object) -> None:
        running[0] += 1
        running[1] = max(running)
        exchange.wait(0.1)  # type: ignore[attr-defined]  # an Exchange
        running[0] -= 1
        exchange.send(exchange.correct())  # type: ignore[attr-defined]  # an Exchange

    index.fault("*.whl", slow)
    with Wheelhouse(str(cache)) as house:
        assert len(house.fetch(wanted)) == 12
    assert running[1] > 3


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_cache_entry_is_downloaded_again(index: IndexServer, cache: Path, damage: str) -> None:
    """S7, S8: a cached wheel with a changed bit, a truncated one and an empty one are detected and replaced."""
    wanted = published(index)
    with Wheelhouse(str(cache)) as house:
        path = Path(house.fetch([wanted])[wanted.filename])
    content = bytearray(WHEEL.content)
    content[500] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": WHEEL.content[:500], "empty": b""}[damage])
    with Wheelhouse(str(cache)) as house:
        assert Path(house.fetch([wanted])[wanted.filename]).read_bytes() == WHEEL.content
    assert downloads(index) == 2


def test_offline_uses_the_cache_only(index: IndexServer, cache: Path) -> None:
    """--offline names wheels that are not cached, and sends no request."""
    wanted = published(index)
    with Wheelhouse(str(cache), offline=True) as house, pytest.raises(IndexUnreachable, match="b-1"):
        house.fetch([wanted])
    assert downloads(index) == 0
    with Wheelhouse(str(cache)) as house:
        house.fetch([wanted])
    with Wheelhouse(str(cache), offline=True) as house:
        assert house.fetch([wanted])
    assert downloads(index) == 1


TEMPORARY = {
    "N29": Fault.status(500),
    "N32": Fault.cut(),
    "reset": Fault.reset(),
    "429": Fault.status(429, retry_after=0),
    "silence": Fault.hang(),
}


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow) if row == "silence" else row for row in TEMPORARY]
)
def test_temporary_fault_is_retried(index: IndexServer, cache: Path, row: str) -> None:
    """N29, N32: a request that fails once is repeated."""
    wanted = published(index)
    index.fault("*.whl", TEMPORARY[row], times=1)
    with Wheelhouse(str(cache), limits=QUICK) as house:
        assert Path(house.fetch([wanted])[wanted.filename]).read_bytes() == WHEEL.content
    assert downloads(index) == 2


PERMANENT = {
    "N28": (Fault.status(404), IndexAnswerError, "no longer on its index"),
    "500": (Fault.status(500), IndexUnreachable, "returned 500"),
    "503": (Fault.status(503, retry_after=3600), IndexUnreachable, "asks to wait 3600 s"),
    "401": (Fault.status(401), IndexUnreachable, "is denied"),
    "N30": (Fault.hang_midway(), IndexUnreachable, "no response for 2 s"),
    "N31": (Fault.cut(), IndexUnreachable, "cut short"),
    "reset": (Fault.reset(), IndexUnreachable, "can't download"),
    "trickle": (Fault.trickle(0.05), IndexUnreachable, "no complete response within"),
    "N36": (
        Fault.answer(Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})),
        IndexAnswerError,
        "not a wheel",
    ),
    "N33": (
        Fault.answer(Answer(200, b"PK\x03\x04" + bytes(len(WHEEL.content) - 4), {})),
        WheelError,
        "not the file that was locked",
    ),
    "loop": (Fault.redirect(lambda exchange: exchange.request.path), IndexAnswerError, "redirect loop"),
    "file": (Fault.redirect("file:///etc/hostname"), IndexAnswerError, "not http"),
}


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow) if row == "trickle" else row for row in PERMANENT]
)
def test_permanent_fault_is_an_error(index: IndexServer, cache: Path, row: str) -> None:
    """N28 to N36: the error names the wheel and the cause, and no part of it is cached."""
    misbehave, kind, words = PERMANENT[row]
    wanted = published(index, size=row != "trickle")  # a known size lengthens the deadline
    index.fault("*.whl", misbehave)
    limits = QUICK._replace(deadline=2.0) if row == "trickle" else QUICK._replace(retries=0) if row == "N30" else QUICK
    with Wheelhouse(str(cache), limits=limits) as house, pytest.raises(kind) as failed:
        house.fetch([wanted])
    assert words in str(failed.value)
    assert wanted.filename in str(failed.value)
    assert parts(cache) == []
    assert list(cache.rglob("*.whl")) == []


def test_error_has_both_digests(index: IndexServer, cache: Path) -> None:
    """N33: the error has the locked digest and the actual one."""
    wanted = published(index)._replace(hashes={"sha256": "0" * 64})
    with Wheelhouse(str(cache)) as house, pytest.raises(WheelError) as failed:
        house.fetch([wanted])
    assert WHEEL.sha256 in str(failed.value)
    assert "0" * 64 in str(failed.value)


@pytest.mark.parametrize("difference", [-1, 1])
def test_wrong_size_is_an_error(index: IndexServer, cache: Path, difference: int) -> None:
    """N37: another size than the locked one is an error even if the hash matches."""
    wanted = published(index)._replace(size=len(WHEEL.content) + difference)
    with Wheelhouse(str(cache)) as house, pytest.raises(WheelError, match="bytes, but the lock has"):
        house.fetch([wanted])
    assert parts(cache) == []


def test_one_failure_ends_all_downloads(index: IndexServer, cache: Path) -> None:
    """If one wheel is missing, the others are cancelled and leave no partial files."""
    good, gone = published(index), published(index, build_wheel("gone", "1.0"))
    index.fault(f"*/{good.filename}", Fault.hang_midway())
    index.fault(f"*/{gone.filename}", Fault.status(404))
    patient = Limits(timeout=30, deadline=60, retries=0)
    with Wheelhouse(str(cache), limits=patient) as house, pytest.raises(IndexAnswerError, match="gone-1"):
        house.fetch([good, gone])
    assert parts(cache) == []


def test_credentials_are_not_sent_to_another_host(index: IndexServer, cache: Path) -> None:
    """X8: a redirect to another host is followed without the Authorization header."""
    from minglibc.index.credentials import Credentials  # noqa: PLC0415  for this test alone

    wanted = published(index)
    index.other.add(WHEEL)
    index.fault("*.whl", Fault.redirect(f"{index.other.origin}/files/{WHEEL.filename}"))
    credentials = Credentials()
    credentials.take(f"http://user:secret@127.0.0.1:{index.port}/")
    with Wheelhouse(str(cache), credentials=credentials) as house:
        house.fetch([wanted])

    def sent(server: IndexServer) -> list[bool]:
        return ["authorization" in {key.lower() for key in request.headers} for request in server.requests]

    assert sent(index) == [True]
    assert sent(index.other) == [False]


def test_unwritable_cache(index: IndexServer, tmp_path: Path) -> None:
    """S6: there is one warning, the wheel is downloaded to a temporary folder, and the folder is removed."""
    blocked = tmp_path / "cache"
    blocked.write_text("a file instead of a folder", encoding="utf-8")
    warnings: list[str] = []
    with Wheelhouse(str(blocked), on_warning=warnings.append) as house:
        names = [published(index), published(index, build_wheel("c", "1.0"))]
        paths = house.fetch(names)
        assert Path(paths[WHEEL.filename]).read_bytes() == WHEEL.content
    assert not Path(paths[WHEEL.filename]).exists()
    assert len(warnings) == 1
    assert "continuing without it" in warnings[0]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Limits files to 50 kB, as a full disk would."""
    import signal  # noqa: PLC0415  the limit's own signal would end the process

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_disk")
def test_full_disk(index: IndexServer, cache: Path) -> None:
    """S5: if the temporary folder is full too, the error says so and no file is left."""
    wanted = published(index)
    with Wheelhouse(str(cache)) as house, pytest.raises(MinglibcError, match="can't store") as failed:
        house.fetch([wanted])
    assert "too large" in str(failed.value).lower()
    assert parts(cache) == []


def test_file_name_with_a_path(index: IndexServer, cache: Path) -> None:
    """N43: a file name that contains a folder is an error."""
    wanted = published(index)._replace(filename="../../b-1.0-py3-none-any.whl")
    with Wheelhouse(str(cache)) as house, pytest.raises(WheelError, match="not the name of a wheel"):
        house.fetch([wanted])


def test_cache_of_another_format(index: IndexServer, cache: Path) -> None:
    """S9: the folder of a newer cache format is not changed."""
    newer = cache / "wheels-999" / "x"
    newer.mkdir(parents=True)
    with Wheelhouse(str(cache)) as house:
        house.fetch([published(index)])
    assert sorted(os.listdir(cache)) == sorted([FOLDER, "wheels-999"])
    assert newer.exists()
