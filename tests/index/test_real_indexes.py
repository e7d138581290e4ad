"""Indexes as they are: unadvertised metadata, odd URLs, redirects to hosts of netrc, and metadata of old releases."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.errors import EXIT_CANNOT
from minglibc.index.fetcher import metadata_url
from minglibc.model.lenient import lenient_specifier, parse_lenient
from minglibc.model.requirements import InvalidRequirement
from tests.support.commands import Ran, locked_versions, minglibc, read_lock
from tests.support.environments import LockedProject
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.wheels import build_wheel

SECRET = "netrc-password"


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """An empty project."""
    return LockedProject(tmp_path / "project", index)


def lock(project: LockedProject, *dependencies: str) -> Ran:
    """Lock *dependencies*."""
    project.write(dependencies)
    return project.command("lock", "--upgrade")


def versions(project: LockedProject) -> dict[str, str]:
    """The locked versions."""
    return locked_versions(project.folder)


# ---- metadata that the page does not advertise


def answers(status: int, body: bytes, content_type: str = "text/html") -> Callable[[Exchange], None]:
    """A response to every request for metadata."""
    return lambda exchange: exchange.send(Answer(status, body, {"Content-Type": content_type}))


LOGIN = b"<!doctype html><html><title>Sign in</title></html>"
WHEEL = build_wheel("foo", "1.0", requires=["bar"])


@pytest.mark.parametrize(
    "answer",
    [
        answers(200, LOGIN),
        answers(200, b""),
        answers(200, b"", "application/octet-stream"),
        answers(200, WHEEL.content, "application/octet-stream"),
        answers(200, b"\x00\xff\xfe"),
        answers(200, b"Name: foo\n"),
        answers(500, b"error"),
        answers(502, b""),
        answers(400, b"no"),
        answers(401, b"no"),
        answers(429, b"slow down"),
        lambda exchange: exchange.send(Answer(302, headers={"Location": "/login"})),
        lambda exchange: exchange.send(Answer(302, headers={"Location": "file:///etc/passwd"})),
        lambda exchange: exchange.hang_up(reset=True),
        lambda exchange: exchange.send(Answer(200, b"Name: ", {"Content-Encoding": "gzip"})),
    ],
)
def test_guesses_are_harmless(answer: Callable[[Exchange], None], project: LockedProject, index: IndexServer) -> None:
    """Whatever a server returns for metadata that its page does not advertise, the wheel itself is read, without retries."""
    for version in ("0.9", "1.0"):
        index.add(build_wheel("foo", version, requires=["bar"]), core_metadata=False)
    index.add(build_wheel("bar", "1.0"), core_metadata=False)
    index.fault("*.metadata", answer)
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    assert versions(project) == {"foo": "1.0", "bar": "1.0"}
    assert len(index.paths("*/foo-1.0*.metadata")) <= 1


def test_guesses_are_used(project: LockedProject, index: IndexServer) -> None:
    """Metadata that is served although the page does not advertise it saves reading the wheel."""
    index.add(build_wheel("foo", "1.0"), core_metadata=False)
    assert lock(project, "foo").code == 0
    assert index.paths("*.metadata")
    assert not index.paths("*.whl")


def test_promised_metadata_of_a_web_page(project: LockedProject, index: IndexServer) -> None:
    """Metadata that is advertised without a hash may be a web page too."""
    index.add(build_wheel("foo", "1.0"), core_metadata=False)
    page = json.dumps(
        {
            "meta": {"api-version": "1.0"},
            "name": "foo",
            "files": [
                {
                    "filename": "foo-1.0-py3-none-any.whl",
                    "url": f"{index.origin}/files/foo-1.0-py3-none-any.whl",
                    "hashes": {"sha256": build_wheel("foo", "1.0").sha256},
                    "core-metadata": True,
                }
            ],
        }
    ).encode()
    index.fault("/simple/foo/", lambda exchange: exchange.send(Answer(200, page, {"Content-Type": JSON})))
    index.fault("*.metadata", answers(200, LOGIN))
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err


JSON = "application/vnd.pypi.simple.v1+json"


@pytest.mark.parametrize(
    ("url", "metadata"),
    [
        ("https://h.invalid/a.whl", "https://h.invalid/a.whl.metadata"),
        ("https://h.invalid/a.whl?X-Signature=abc", "https://h.invalid/a.whl.metadata?X-Signature=abc"),
        ("https://h.invalid/a.whl?a=b?c", "https://h.invalid/a.whl.metadata?a=b?c"),
    ],
)
def test_metadata_url(url: str, metadata: str) -> None:
    """A query stays behind the path."""
    assert metadata_url(url) == metadata


# ---- pages


def html(index: IndexServer, *lines: str) -> None:
    """The page of foo has these lines."""
    body = "\n".join(["<!DOCTYPE html><html><head>", *lines, "</html>"]).encode()
    index.fault("/simple/foo/", lambda exchange: exchange.send(Answer(200, body, {"Content-Type": "text/html"})))


def anchor(index: IndexServer, version: str = "1.0", href: str = "", more: str = "") -> str:
    """A link to a wheel of foo that the server has."""
    wheel = build_wheel("foo", version)
    index.add(wheel)
    url = href or f"{index.origin}/files/{wheel.filename}"
    return f'<a href="{url}#sha256={wheel.sha256}" {more}>{wheel.filename}</a>'


@pytest.mark.parametrize("base", ["../../files/", "/files/", "//HOST/files/", "ORIGIN/files/"])
def test_base_may_be_relative(base: str, project: LockedProject, index: IndexServer) -> None:
    """The URL of <base> is relative to the page's."""
    base = base.replace("HOST", index.origin.partition("//")[2]).replace("ORIGIN", index.origin)
    html(index, f'<base href="{base}">', anchor(index, href="foo-1.0-py3-none-any.whl"))
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    (package,) = read_lock(project.folder).pylock.packages
    assert package.wheels
    assert package.wheels[0].url == f"{index.origin}/files/foo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "bad",
    [
        '<a href="http://[::1/foo-2.0-py3-none-any.whl">foo</a>',
        '<a href="https://host]/foo-2.0-py3-none-any.whl">foo</a>',
        '<base href="http://[">',
        '<a href="//[/foo-2.0-py3-none-any.whl">foo</a>',
        '<a href="https://host:port/foo-2.0-py3-none-any.whl">foo</a>',
        '<a href="https://h:99999/foo-2.0-py3-none-any.whl">foo</a>',
    ],
)
def test_malformed_url_among_many(bad: str, project: LockedProject, index: IndexServer) -> None:
    """A malformed URL only affects its own file."""
    html(index, bad, anchor(index), bad)
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    assert versions(project) == {"foo": "1.0"}


@pytest.mark.parametrize("url", ["http://[::1/x/foo-2.0-py3-none-any.whl", "https://h:port/foo-2.0-py3-none-any.whl"])
def test_malformed_url_in_json(url: str, project: LockedProject, index: IndexServer) -> None:
    """The same in JSON pages, with a warning that names the release."""
    index.add(build_wheel("foo", "1.0"))
    index.add(build_wheel("foo", "2.0"), url=url)
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    assert versions(project) == {"foo": "1.0"}
    assert "warning: foo 2.0 was skipped: its URL" in ran.err


def test_plus_in_urls(project: LockedProject, index: IndexServer) -> None:
    """A literal "+" is encoded, as pip does: some servers read it as a blank. A query is not changed."""
    wheel = build_wheel("foo", "1.0+cpu")
    index.add(wheel)
    url = f"{index.origin}/files/foo-1.0+cpu-py3-none-any.whl?token=a+b"
    html(index, f'<a href="{url}#sha256={wheel.sha256}">foo</a>')
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    (package,) = read_lock(project.folder).pylock.packages
    assert package.wheels
    assert package.wheels[0].url == f"{index.origin}/files/foo-1.0%2Bcpu-py3-none-any.whl?token=a+b"
    assert project.sync().code == 0
    assert not [request.path for request in index.requests if "+" in request.path.partition("?")[0]]


# ---- netrc and redirects


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        (f"machine localhost login user password {SECRET}\n", 0),
        (f"machine other.invalid login user password x\ndefault login user password {SECRET}\n", 3),
        ("machine localhost login user password wrong\n", 3),
        (f"machine local login user password {SECRET}\n", 3),
    ],
)
def test_netrc_behind_a_redirect(  # noqa: PLR0917  fixtures
    entries: str, code: int, project: LockedProject, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """netrc's own entry of a host applies to it behind a redirect too; the default entry does not."""
    netrc = tmp_path / "netrc"
    netrc.write_text(entries, encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    index.other.credentials = ("user", SECRET)
    index.other.add(build_wheel("foo", "1.0"))

    def redirect(exchange: Exchange) -> None:
        assert "Authorization" not in exchange.request.headers
        exchange.send(Answer(302, headers={"Location": f"{index.other.origin}{exchange.request.path}"}))

    index.fault("*", redirect)
    ran = lock(project, "foo")
    assert ran.code == code, ran.err
    assert SECRET not in ran.err + ran.out
    if code:
        assert "netrc (machine localhost)" in ran.err
        assert ("rejected those that were sent" in ran.err) == ("machine localhost" in entries)
        return
    ran = project.sync()
    assert ran.code == 0, ran.err
    assert SECRET not in (project.folder / "pylock.toml").read_text(encoding="utf-8")


# ---- metadata of old releases


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">=3.6.*", ">=3.6"),
        (">=3.*, !=3.0.*, !=3.1.*", ">=3, !=3.0.*, !=3.1.*"),
        (">= '3.6'", ">= 3.6"),
        (">=3.6,", ">=3.6,"),
        (">=3.6<4", ">=3.6,<4"),
        (">=3.6,<4.*", ">=3.6,<4"),
        ("!=3.0*,>=3.5", "!=3.0.*,>=3.5"),
        (">=3.6, <3.12, !=~3.7", ">=3.6, <3.12, !=3.7.*"),
        (">=3.6, !=3.9.*", ">=3.6, !=3.9.*"),
        ("", ""),
        ("banana", "banana"),
        ("=>3.6", "=>3.6"),
        ("~=3.6.*", "~=3.6.*"),
        (">=3.8 and <4", ">=3.8 and <4"),
        ("3.6", "3.6"),
    ],
)
def test_lenient_specifiers(text: str, expected: str) -> None:
    """The mistakes that uv 0.13 accepts are fixed as it fixes them, and no others."""
    assert lenient_specifier(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c (>=1.0.*)", "c>=1.0"),
        ("c>=1.0.*", "c>=1.0"),
        ("c >= 1.0.*, <3", "c>=1.0,<3"),
        ("c>=0.5<2", "c>=0.5,<2"),
        ("c!=~2.0", "c!=2.0.*"),
        ("c (>=0.5,)", "c>=0.5"),
        ("c>dev", "c>=0.0.0dev"),
        ("c (>dev)", "c>=0.0.0dev"),
        ("c>='0.5'", "c>=0.5"),
        ("c[x,y]>=1.*; python_version > '3.5'", "c[x,y]>=1; python_version > '3.5'"),
        ("c (==1.*)", "c==1.*"),
    ],
)
def test_lenient_requirements(text: str, expected: str) -> None:
    """Requirements are fixed as uv does; markers stay as they are."""
    assert parse_lenient(text).text == expected


@pytest.mark.parametrize(
    "text", ["!!!", "c=>1.0", "c==*", "c>=0.5,,<3", "c~=1.0.*", "c>= 0.5 and <2", "c[>=1]", "c~=1"]
)
def test_invalid_requirements(text: str) -> None:
    """What uv does not accept is an error too."""
    with pytest.raises(InvalidRequirement):
        parse_lenient(text)


def test_old_releases_install(project: LockedProject, index: IndexServer) -> None:
    """A release with common mistakes is locked and installed, without a message, in its newest version."""
    index.add(build_wheel("foo", "1.0"))
    index.add(build_wheel("foo", "2.0", requires_python=">=3.6.*", requires=["bar (>=1.0.*)", "bar>dev"]))
    index.add(build_wheel("bar", "1.0", requires_python=">=3.*, !=3.0.*"))
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    assert "skipped" not in ran.err
    assert versions(project) == {"foo": "2.0", "bar": "1.0"}
    ran = project.sync()
    assert ran.code == 0, ran.err
    assert project.sync("--check").code == 0


@pytest.mark.parametrize(
    ("wheel", "reason"),
    [
        ({"requires_python": "banana"}, "its Requires-Python 'banana' is not a version specifier"),
        ({"requires": ["!!!"]}, "Expected"),
        ({"requires": ["bar; bogus_variable == '1'"]}, "bogus_variable"),
        ({"metadata_name": "evil"}, "its METADATA is of evil"),
    ],
)
def test_no_silent_downgrade(wheel: dict[str, object], reason: str, project: LockedProject, index: IndexServer) -> None:
    """A warning names the newer release that was skipped because of its metadata."""
    index.add(build_wheel("foo", "1.0"))
    index.add(build_wheel("foo", "2.0", **wheel))  # type: ignore[arg-type]  # options of the test
    index.add(build_wheel("foo", "3.0", **wheel))  # type: ignore[arg-type]  # the same
    ran = lock(project, "foo")
    assert ran.code == 0, ran.err
    assert versions(project) == {"foo": "1.0"}
    assert "warning: foo 3.0 was skipped (and 1 more releases): " in ran.err
    assert reason in ran.err
    ran = lock(project, "foo<2")
    assert "skipped" not in ran.err
    assert lock(project, "foo>2").code == EXIT_CANNOT


# ---- releases with some yanked files


@pytest.mark.parametrize("specifier", ["foo", "foo==1.0", "foo>=1"])
def test_partly_yanked_release(specifier: str, project: LockedProject, index: IndexServer) -> None:
    """The file that is not yanked is selected, although a yanked one has the better tag."""
    index.add(build_wheel("foo", "1.0", "cp311-cp311-manylinux_2_17_x86_64"), yanked="broken")
    index.add(build_wheel("foo", "1.0"))
    index.add(build_wheel("foo", "0.9"))
    ran = lock(project, specifier)
    assert ran.code == 0, ran.err
    assert "yanked" not in ran.err
    (package,) = read_lock(project.folder).pylock.packages
    assert package.wheels
    assert [wheel.filename for wheel in package.wheels] == ["foo-1.0-py3-none-any.whl"]


def test_fully_yanked_release(project: LockedProject, index: IndexServer) -> None:
    """A pinned release whose suitable files are all yanked is locked with a warning."""
    index.add(build_wheel("foo", "1.0"), yanked="broken")
    index.add(build_wheel("foo", "1.0", "py3-none-win_amd64"))
    ran = lock(project, "foo==1.0")
    assert ran.code == 0, ran.err
    assert "foo 1.0 is yanked: broken" in ran.err
    assert minglibc("lock", "--check", "--project", str(project.folder)).code == 0
