"""A synthetic index on loopback: as many projects and files as asked for, served from memory."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RELEASES = 10
PYTHONS = tuple(range(8, 16))
ARCHITECTURES = ("x86_64", "aarch64")
JSON = "application/vnd.pypi.simple.v1+json"


def name(number: int) -> str:
    """The name of a project."""
    return f"p{number:05d}"


def index(projects: int, *, files: int = 0) -> dict[str, bytes]:
    """Paths and bodies of an index whose project n requires 2n+1 and 2n+2; *files* are added to the first one's page."""
    responses: dict[str, bytes] = {}
    for number in range(projects):
        requires = [name(child) for child in (2 * number + 1, 2 * number + 2) if child < projects]
        entries = [entry for release in range(RELEASES) for entry in _release(responses, number, release, requires)]
        if number == 0:
            entries[:0] = [
                _entry(number, f"0.{n // 50}", f"cp39-abi3-macosx_{n % 50}_0_arm64", "") for n in range(files)
            ]
        page = {"meta": {"api-version": "1.1"}, "name": name(number), "files": entries}
        responses[f"/simple/{name(number)}/"] = json.dumps(page).encode()
    return responses


def as_html(page: bytes) -> bytes:
    """A page as servers that know only PEP 503 have it."""
    links = (
        f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}" data-requires-python="&gt;=3.8"'
        f' data-core-metadata="{_metadata_attribute(file["core-metadata"])}">{file["filename"]}</a><br/>\n'
        for file in json.loads(page)["files"]
    )
    return f"<!DOCTYPE html>\n<html><body>\n{''.join(links)}</body></html>\n".encode()


def _metadata_attribute(metadata: object) -> str:
    return f"sha256={metadata['sha256']}" if isinstance(metadata, dict) else "false"


def _release(
    responses: dict[str, bytes], number: int, release: int, requires: list[str]
) -> Iterator[dict[str, object]]:
    """Every third project is pure; the others have a wheel for each Python and architecture."""
    version = f"1.{release}"
    bounds = "".join(f"Requires-Dist: {requirement}>=1.{release // 2}\n" for requirement in requires)
    metadata = f"Metadata-Version: 2.1\nName: {name(number)}\nVersion: {version}\n{bounds}\n".encode()
    digest = hashlib.sha256(metadata).hexdigest()
    compiled = [f"cp3{minor}-cp3{minor}-manylinux_2_17_{arch}" for minor in PYTHONS for arch in ARCHITECTURES]
    for tail in ["py3-none-any"] if number % 3 == 0 else compiled:
        entry = _entry(number, version, tail, digest)
        responses[f"/files/{entry['filename']}.metadata"] = metadata
        yield entry


def _entry(number: int, version: str, tail: str, metadata: str) -> dict[str, object]:
    filename = f"{name(number)}-{version}-{tail}.whl"
    return {
        "filename": filename,
        "url": f"../../files/{filename}",
        "hashes": {"sha256": hashlib.sha256(filename.encode()).hexdigest()},
        "requires-python": ">=3.8",
        "size": 1000,
        "upload-time": "2026-01-01T00:00:00.000000Z",
        "core-metadata": {"sha256": metadata} if metadata else False,
        "yanked": False,
    }


@contextmanager
def serving(bodies: dict[str, bytes], *, latency: float = 0, kind: str = JSON) -> Iterator[str]:
    """The address of the simple index that *bodies* are, while the context lasts; *latency* is seconds a request."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    servers: list[asyncio.Server] = []
    started = threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            known = False
            while header := (await reader.readline()).strip():
                known |= header.lower() == b'if-none-match: "1"'
            await asyncio.sleep(latency)
            body = bodies.get(line.split()[1].decode())
            status, content = ("200 OK", body) if body is not None else ("404 Not Found", b"")
            if known and body is not None:
                status, content = "304 Not Modified", b""
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
            writer.write(f'{head}ETag: "1"\r\nCache-Control: max-age=86400\r\n\r\n'.encode() + content)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        servers.append(server)
        ready.append(server.sockets[0].getsockname()[1])
        started.set()

    async def end() -> None:
        connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        servers[0].close()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(end())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{ready[0]}/simple/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
