"""Creates the faults N01 to N82 of tests/repository/faults.md on an IndexServer.

The project requires ``a``, ``a`` 1.0 requires ``b``, and ``b`` has the fault. ``c`` 1.0 is valid and not required, unless a
fault changes that.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

from tests.support.index import HTML_PAGE, JSON_PAGE, Answer, Exchange, IndexServer, Misbehaviour
from tests.support.wheels import BuiltWheel, Content, Member, build_wheel, metadata_text, tamper

Arrange = Callable[[IndexServer], None]

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password:</form></body></html>\n"
PAGE_OF_B = "/simple/b/"
WHEEL_OF_B = "*/b-1.0-py3-none-any.whl"


class Fault:
    """Faulty responses, for ``IndexServer.fault``."""

    @staticmethod
    def status(code: int, *, retry_after: int | str | None = None, body: bytes = b"No.") -> Misbehaviour:
        """Respond with this status, and Retry-After if given."""
        headers = {"Content-Type": "text/plain"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return Fault.answer(Answer(code, body, headers))

    @staticmethod
    def answer(answer: Answer) -> Misbehaviour:
        """Respond with *answer*."""
        return lambda exchange: exchange.send(answer)

    @staticmethod
    def body(body: bytes, content_type: str = JSON_PAGE) -> Misbehaviour:
        """Respond with status 200 and this body."""
        return Fault.answer(Answer(200, body, {"Content-Type": content_type}))

    @staticmethod
    def change(change: Callable[[Answer], Answer], *, accept: str | None = None) -> Misbehaviour:
        """Respond with *change* applied to the correct response; *accept* replaces the client's Accept header."""
        return lambda exchange: exchange.send(change(exchange.correct(accept=accept)))

    @staticmethod
    def edit_json(edit: Callable[[dict[str, Any]], object]) -> Misbehaviour:
        """Respond with the correct JSON page, edited by *edit*."""

        def changed(answer: Answer) -> Answer:
            page = json.loads(_plain(answer))
            edit(page)
            return _json_answer(json.dumps(page).encode())

        return Fault.change(changed, accept=JSON_PAGE)

    @staticmethod
    def redirect(to: str | Callable[[Exchange], str], *, code: int = 302) -> Misbehaviour:
        """Redirect to *to*."""

        def misbehave(exchange: Exchange) -> None:
            location = to if isinstance(to, str) else to(exchange)
            exchange.send(Answer(code, headers={"Location": location}))

        return misbehave

    @staticmethod
    def hang() -> Misbehaviour:
        """Never respond."""

        def misbehave(exchange: Exchange) -> None:
            exchange.wait()
            exchange.hang_up()

        return misbehave

    @staticmethod
    def hang_midway() -> Misbehaviour:
        """Send half of the body and keep the connection open."""

        def misbehave(exchange: Exchange) -> None:
            answer = exchange.correct()
            exchange.send(answer, body=answer.body[: len(answer.body) // 2])
            exchange.wait()
            exchange.hang_up()

        return misbehave

    @staticmethod
    def trickle(seconds: float = 1.0) -> Misbehaviour:
        """Send the body one byte at a time, with a pause of *seconds* after each."""

        def misbehave(exchange: Exchange) -> None:
            answer = exchange.correct()
            exchange.send(answer, body=b"")
            for byte in answer.body:
                exchange.send_bytes(bytes([byte]))
                if not exchange.wait(seconds):
                    break
            exchange.hang_up()

        return misbehave

    @staticmethod
    def cut(part: float = 0.5) -> Misbehaviour:
        """Close the connection after this part of the promised body."""

        def misbehave(exchange: Exchange) -> None:
            answer = exchange.correct()
            exchange.send(answer, body=answer.body[: int(len(answer.body) * part)])
            exchange.hang_up()

        return misbehave

    @staticmethod
    def reset() -> Misbehaviour:
        """Reset the connection."""
        return lambda exchange: exchange.hang_up(reset=True)

    @staticmethod
    def gzip_bomb(blanks: int = 400_000_000) -> Misbehaviour:
        """Put that many spaces before the correct body, compressed with gzip to a thousandth of their size."""

        def swollen(answer: Answer) -> Answer:
            return replace(answer, body=gzip_blanks(blanks, _plain(answer))).with_headers(Content_Encoding="gzip")

        return Fault.change(swollen)


@cache
def gzip_blanks(blanks: int, ending: bytes) -> bytes:
    """A gzip member with that many spaces and *ending*."""
    step = 4_000_000
    chunk = b" " * step
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush, a compressed chunk does not refer to earlier data, so it can be repeated.
    block = squeeze.compress(chunk) + squeeze.flush(zlib.Z_FULL_FLUSH)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    rest = b" " * (blanks % step) + ending
    last = squeeze.compress(rest) + squeeze.flush()
    check = 0
    for _ in range(blanks // step):
        check = zlib.crc32(chunk, check)
    check = zlib.crc32(rest, check)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = check.to_bytes(4, "little") + ((blanks + len(ending)) % 2**32).to_bytes(4, "little")
    return head + block * (blanks // step) + last + tail


def _plain(answer: Answer) -> bytes:
    if answer.headers.get("Content-Encoding") == "gzip":
        return zlib.decompress(answer.body, zlib.MAX_WBITS | 16)
    return answer.body


def _json_answer(body: bytes) -> Answer:
    return Answer(200, body, {"Content-Type": JSON_PAGE})


# How faults are created


def publish_all(
    server: IndexServer, *, b: BuiltWheel | None = None, a: BuiltWheel | None = None, **options: Any
) -> None:
    """Publish a, b and c; *b* replaces the valid b 1.0 and is published with *options*."""
    # Clients must not avoid the fault by using the project JSON API.
    server.project_json = False
    server.add(a or build_wheel("a", "1.0", requires=["b"]))
    server.add(b or build_wheel("b", "1.0"), **options)
    server.add(build_wheel("c", "1.0"))


def page(misbehave: Misbehaviour, *, times: int | None = None) -> Arrange:
    """A fault of the project page of b."""

    def arrange(server: IndexServer) -> None:
        publish_all(server)
        server.fault(PAGE_OF_B, misbehave, times=times)

    return arrange


def edited(edit: Callable[[dict[str, Any]], object]) -> Arrange:
    """A fault in the content of the JSON page of b."""
    return page(Fault.edit_json(edit))


def file(misbehave: Misbehaviour, *, times: int | None = None) -> Arrange:
    """A fault of the wheel of b, which has 100 kB."""

    def arrange(server: IndexServer) -> None:
        publish_all(server, b=build_wheel("b", "1.0", padding=100_000))
        server.fault(WHEEL_OF_B, misbehave, times=times)

    return arrange


def published(make: Callable[[], BuiltWheel] | None = None, **options: Any) -> Arrange:
    """A fault of the wheel of b, which *make* builds, or of the *options* that it is published with."""

    def arrange(server: IndexServer) -> None:
        publish_all(server, b=make() if make else None, **options)

    return arrange


def metadata(**parameters: Any) -> Arrange:
    """A fault in the METADATA of b."""
    return published(lambda: build_wheel("b", "1.0", **parameters))


def tampered(**changes: Any) -> Arrange:
    """A fault in the archive of b; *changes* are those of ``tamper``."""
    return published(lambda: tamper(build_wheel("b", "1.0"), **changes))


def extra_member(path: str, content: Content = "EVIL = True\n") -> Arrange:
    """The archive of b has an additional member, which RECORD lists."""
    return tampered(add={path: content})


def status(state: str, reason: str) -> Arrange:
    """The project status of b (PEP 792)."""

    def arrange(server: IndexServer) -> None:
        publish_all(server)
        server.project_status("b", state, reason)

    return arrange


def _absent(server: IndexServer) -> None:
    publish_all(server)
    server.remove("b-1.0-py3-none-any.whl")
    server.fault(PAGE_OF_B, Fault.status(404))


def _elsewhere(server: IndexServer) -> None:
    publish_all(server)
    server.other.add(build_wheel("b", "1.0"))
    server.fault(PAGE_OF_B, Fault.redirect(f"{server.other.url}b/"))


def _relative(server: IndexServer) -> None:
    publish_all(server)
    server.relative_urls = True


def _climbing_and_back(server: IndexServer) -> None:
    publish_all(server)
    server.relative_urls = "../../../N41/files/"


def _page_of_another(server: IndexServer) -> None:
    publish_all(server)
    server.remove("b-1.0-py3-none-any.whl")
    server.add(build_wheel("c", "1.0"), project="b")


def _evil_filename(filename: str) -> Arrange:
    def arrange(server: IndexServer) -> None:
        publish_all(server)
        evil = build_wheel("conf-evil", "1.0", files={"conf_evil.py": "EVIL = True\n"})
        url = f"{server.origin}/files/{evil.filename}"
        server.add(evil, project="b", filename=filename, url=url)

    return arrange


def _bad_names(server: IndexServer) -> None:
    publish_all(server)
    for filename in ("b-2004d-py3-none-any.whl", "b-1.0-foo-py3-none-any.whl"):
        server.add(build_wheel("b", "1.0", filename=filename))


def _banana(server: IndexServer) -> None:
    publish_all(server, requires_python="banana")
    server.add(build_wheel("b", "0.9"))


def _no_core_metadata(server: IndexServer) -> None:
    publish_all(server)
    server.fault(f"{WHEEL_OF_B}.metadata", Fault.status(404))


def _poorer_metadata(server: IndexServer) -> None:
    correct = build_wheel("b", "1.0", requires=["c==1.0"])
    publish_all(server, b=correct._replace(metadata=metadata_text("b", "1.0")))


def _circle(server: IndexServer) -> None:
    publish_all(server, b=build_wheel("b", "1.0", requires=["a"]))


def _circle_of_extras(server: IndexServer) -> None:
    publish_all(server, a=build_wheel("a", "1.0", requires=["a[x]", "b; extra == 'x'"], provides_extra=["x"]))


def _html_as_wheel() -> BuiltWheel:
    return build_wheel("b", "1.0")._replace(content=LOGIN_PAGE)


def _link_and_beyond() -> BuiltWheel:
    linked = tamper(build_wheel("b", "1.0"), symlinks={"b/link": "/etc"})
    return tamper(linked, add={"b/link/conf_evil": "EVIL"})


def _two_names() -> BuiltWheel:
    return tamper(build_wheel("b", "1.0"), append=[Member("b/__init__.py", b"EVIL = True\n")])


def _two_dist_infos() -> BuiltWheel:
    second: dict[str, Content] = {
        "b-2.0.dist-info/METADATA": metadata_text("b", "2.0"),
        "b-2.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "b-2.0.dist-info/RECORD": "",
    }
    return tamper(build_wheel("b", "1.0"), add=second)


def _stored(version: str) -> BuiltWheel:
    """The wheel of b, uncompressed, with *version* in its module."""
    files = {"b/__init__.py": f'__version__ = "{version}"\n'}
    return build_wheel("b", "1.0", files=files, compression=zipfile.ZIP_STORED)


@cache
def _bomb(size: int = 300_000_000) -> BuiltWheel:
    return build_wheel("b", "1.0", files={"b/__init__.py": "", "b/zeros.bin": bytes(size)})


def _packed(compression: int) -> Callable[[], BuiltWheel]:
    return lambda: build_wheel("b", "1.0", compression=compression)


FAULTS: Mapping[str, Arrange] = MappingProxyType(
    {
        # The project page
        "N01": _absent,
        "N02": page(Fault.status(410)),
        "N03": page(Fault.status(403)),
        "N04": page(Fault.answer(Answer(401, b"Who are you?", {"WWW-Authenticate": 'Basic realm="index"'}))),
        "N05": page(Fault.status(429, retry_after=1), times=2),
        "N06": page(Fault.status(429, retry_after=1)),
        "N07": page(Fault.status(500), times=1),
        "N08": page(Fault.status(500)),
        "N09": page(Fault.status(503, retry_after=3600)),
        "N10": page(Fault.hang()),
        "N11": page(Fault.trickle(0.25)),
        "N12": page(Fault.cut()),
        "N13": page(Fault.cut(), times=1),
        "N14": page(Fault.reset()),
        "N15": page(Fault.body(LOGIN_PAGE, "text/html; charset=utf-8")),
        "N16": page(Fault.body(b"Good morning! This is not JSON.", JSON_PAGE)),
        "N17": edited(lambda document: document.pop("files")),
        "N18": edited(lambda document: document.update(files=None)),
        "N19": page(
            Fault.change(lambda answer: answer.with_headers(Content_Type="application/octet-stream"), accept=HTML_PAGE)
        ),
        "N20": edited(lambda document: document["meta"].update({"api-version": "2.0"})),
        "N21": page(Fault.redirect(lambda exchange: exchange.request.path)),
        "N22": page(Fault.redirect("file:///etc/hostname")),
        "N23": _elsewhere,
        "N24": page(Fault.gzip_bomb()),
        "N25": page(Fault.body(b"", JSON_PAGE)),
        "N26": edited(lambda document: document.update(name="zzz")),
        "N27": page(
            Fault.change(
                lambda answer: _json_answer(_plain(answer).replace(b'"name": "b"', b'"note": "caf\xe9", "name": "b"')),
                accept=JSON_PAGE,
            )
        ),
        # The wheel
        "N28": published(status=404),
        "N29": file(Fault.status(500), times=1),
        "N30": file(Fault.hang_midway()),
        "N31": file(Fault.cut()),
        "N32": file(Fault.cut(), times=1),
        "N33": published(lambda: _stored("1.0"), served=_stored("6.6").content),
        "N34": published(hashes=False),
        "N35": published(hashes={"md5": "0123456789abcdef0123456789abcdef"}),
        "N36": published(_html_as_wheel),
        "N37": published(size=12_345),
        # The URLs of files
        "N38": published(url="file:///etc/hostname"),
        "N39": published(url="../../../../../../etc/hostname"),
        "N40": _relative,
        "N41": _climbing_and_back,
        "N42": _page_of_another,
        "N43": _evil_filename("../../../../tmp/conf_evil-1.0-py3-none-any.whl"),
        "N44": _evil_filename("b/../../conf_evil-1.0-py3-none-any.whl"),
        "N45": _bad_names,
        # Metadata
        "N46": metadata(requires=["c (>=1.0.*)"]),
        "N47": metadata(requires=["!!!"]),
        "N48": metadata(requires=["c; bogus_variable == '1'"]),
        "N49": metadata(metadata=metadata_text("b", "1.0").replace(b"Made by", b"Pr\xeat-\xe0-porter by")),
        "N50": metadata(metadata_name="evil"),
        "N51": metadata(metadata_version="9"),
        "N52": published(served_metadata=metadata_text("b", "1.0", summary="Not what was promised.")),
        "N53": _no_core_metadata,
        "N54": _poorer_metadata,
        "N55": published(yanked="it deletes files"),
        "N56": status("quarantined", "it steals passwords"),
        "N57": status("archived", "its author has retired"),
        "N58": status("deprecated", "use c"),
        "N59": _banana,
        "N60": _circle,
        "N61": _circle_of_extras,
        # The content of the wheel
        "N62": extra_member("../../conf_evil.py"),
        "N63": extra_member("/tmp/conf_evil.py"),
        "N64": extra_member("..\\..\\conf_evil.py"),
        "N65": published(_link_and_beyond),
        "N66": tampered(replace={"b/__init__.py": "EVIL = True\n"}, record=False),
        "N67": tampered(remove=["RECORD"]),
        "N68": tampered(append=[Member("b/unlisted.py", b"EVIL = True\n")]),
        "N69": tampered(remove=["b/__init__.py"], record=False),
        "N70": published(lambda: tamper(build_wheel("b", "1.0"), remove=["METADATA", "/WHEEL", "RECORD"])),
        "N71": published(_two_dist_infos),
        "N72": metadata(dist_info="c-1.0.dist-info"),
        "N73": published(_two_names),
        "N74": metadata(wheel_version="2.0"),
        "N75": metadata(wheel_tags=["cp27-cp27m-win32"]),
        "N76": extra_member("b-1.0.data/data/../../../conf_evil.py"),
        "N77": extra_member("b-1.0.data/scripts/python", "#!/bin/sh\necho EVIL\n"),
        "N78": metadata(scripts={"../../conf_evil": "b:main"}),
        "N79": extra_member("a/__init__.py"),
        "N80": published(_bomb),
        "N81": published(_packed(zipfile.ZIP_BZIP2)),
        "N82": tampered(prefix=b"J" * 10_000),
    }
)
