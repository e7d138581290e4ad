"""Signed URLs of storage servers, which indexes redirect to, are in no output at any verbosity."""

from pathlib import Path

import pytest

from tests.support.commands import Ran
from tests.support.environments import LockedProject, locked_pair
from tests.support.faults import Fault
from tests.support.index import Exchange, IndexServer
from tests.support.wheels import build_wheel

QUERIES = (
    "X-Amz-Credential=AKIA&X-Amz-Signature=s3cr3t",
    "sv=2020&sig=s3cr3t%3D",
    "GoogleAccessId=x&Expires=1&Signature=s3cr3t",
    "token=a:b@s3cr3t",
)
FAILURES = {
    "missing": Fault.status(404),
    "forbidden": Fault.status(403),
    "failing": Fault.status(500),
    "cut": Fault.cut(),
    "reset": Fault.reset(),
    "text": Fault.body(b"<html>no</html>", "text/html"),
    "onwards": Fault.redirect("http://127.0.0.1:1/x?sig=s3cr3t"),
    "in circles": Fault.redirect(lambda exchange: f"{exchange.request.path}x?sig=s3cr3t"),
    "to another scheme": Fault.redirect("file:///etc/hostname?sig=s3cr3t"),
    "with a control character": Fault.redirect("http://127.0.0.1:1/\x1b[2J?sig=s3cr3t"),
}


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A locked project whose index never repeats a request."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    monkeypatch.setenv("MINGLIBC_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    index.project_json = False
    return locked_pair(tmp_path / "project", index)


def run(project: LockedProject, *commands: str) -> list[Ran]:
    """The outcomes of commands, none of which show the signature."""
    outcomes = []
    for command in commands:
        name, *arguments = command.split()
        ran = project.command(name, *arguments)
        assert "s3cr3t" not in ran.out + ran.err, ran
        assert "Traceback" not in ran.err
        assert "\x1b" not in ran.err
        outcomes.append(ran)
    return outcomes


def redirect_signed(project: LockedProject, path: str, query: str) -> None:
    """Redirect *path* to a signed URL of the other server."""

    def signed(exchange: Exchange) -> str:
        return f"{project.index.other.origin}{exchange.request.path.partition('?')[0]}?{query}"

    project.index.fault(path, Fault.redirect(signed))


@pytest.mark.parametrize("failure", FAILURES)
def test_pages_behind_signed_urls(failure: str, project: LockedProject) -> None:
    """A page that a signed URL fails to deliver: messages show the URL without its query."""
    redirect_signed(project, "/simple/b/", QUERIES[list(FAILURES).index(failure) % len(QUERIES)])
    project.index.other.fault("*", FAILURES[failure])
    (ran,) = run(project, "lock --upgrade --refresh -vv")
    assert ran.code


@pytest.mark.parametrize("failure", ["forbidden", "cut", "onwards"])
@pytest.mark.parametrize("file", ["whl.metadata", "whl"])
def test_files_behind_signed_urls(file: str, failure: str, project: LockedProject) -> None:
    """The same for metadata and wheels."""
    redirect_signed(project, f"*/b-1.0-py3-none-any.{file}", QUERIES[0])
    project.index.other.fault("*", FAILURES[failure])
    run(project, *(["lock --upgrade --refresh -vv"] if file == "whl.metadata" else ["sync -vv", "check -v"]))


@pytest.mark.parametrize("query", QUERIES[::3])
def test_commands_with_signed_urls(query: str, project: LockedProject, tmp_path: Path) -> None:
    """Every command that succeeds with signed URLs shows, writes and caches none of them."""
    for wheel in ("a-1.0", "b-1.0"):
        redirect_signed(project, f"*/{wheel}-py3-none-any.whl.metadata", query)
        redirect_signed(project, f"*/{wheel}-py3-none-any.whl", query)
    redirect_signed(project, "/simple/b/", query)
    project.index.other.add(build_wheel("a", "1.0", requires=["b"]))
    project.index.other.add(build_wheel("b", "1.0"))
    commands = ("lock --upgrade --refresh -vv", "why b -vv", "outdated --json", "caps -vv", "check --json", "sync -vv")
    outcomes = run(project, *commands, "report --json", "export")
    assert {0} == {ran.code for ran in outcomes}, outcomes
    assert any(query.partition("=")[0] in request.path for request in project.index.other.requests)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
