"""User and password of an index reach that index, and nothing else: no file, no line of output, no other host."""

import os
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.commands import Ran, minglibc
from tests.support.environments import RUNNING
from tests.support.faults import LOGIN_PAGE, Fault
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

USER, PASSWORD = "agent@corp", "pa:ss/w@rd%7E"
TOKEN = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
QUOTED = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
# In whatever form it would be written down.
FORMS = [PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), TOKEN, QUOTED.partition(":")[0]]

EVERY_COMMAND = [
    ("lock", "-vv", "--upgrade", "--refresh"),
    ("lock", "-vv", "--dry-run", "--json", "--upgrade"),
    ("lock", "--check", "-vv"),
    ("check", "-vv"),
    ("outdated", "-vv"),
    ("outdated", "--json"),
    ("why", "a", "-vv"),
    ("caps", "-vv"),
    ("report", "-vv", "-o", "report.html"),
    ("tree", "-vv"),
    ("export", "-o", "requirements.txt"),
    ("export", "--pinned", "-o", "indexed.txt"),
    ("export", "--format", "cyclonedx", "-o", "bom.json"),
    ("bundle", "-vv", "-o", "bundled"),
    ("sync", "-vv", "--json"),
    ("add", "c", "-vv", "--no-sync"),
    ("remove", "c", "-vv", "--no-sync"),
    ("cache", "size"),
]


@pytest.fixture(params=["--index-url", "MINGLIBC_INDEX_URL", "pyproject.toml", "netrc"])
def private(
    request: pytest.FixtureRequest, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> "Private":
    """A project whose index asks for credentials, which it gets in each of the ways there are."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    for name, version in (("b", "1.0"), ("b", "2.0"), ("c", "1.0"), ("pip", "25.0")):
        index.add(build_wheel(name, version))
    index.credentials = (USER, PASSWORD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINGLIBC_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    return Private(tmp_path / "project", index, request.param, monkeypatch)


class Private:
    """A project and the way in which it knows the password."""

    def __init__(self, folder: Path, index: IndexServer, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.index = index
        self.url = index.url.replace("://", f"://{QUOTED}@")
        self.way = way
        written = f'index-url = "{self.url if way == "pyproject.toml" else index.url}"\n'
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.6"\ndependencies = ["a"]\n'
            f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\n{written}'
        )
        if way == "MINGLIBC_INDEX_URL":
            monkeypatch.setenv("MINGLIBC_INDEX_URL", self.url)
        if way == "netrc":
            # Outside of all that is searched, as it is the one file where the password belongs.
            path = folder.parent.parent / f"{folder.parent.name}.netrc"
            path.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
            monkeypatch.setenv("NETRC", str(path))

    def run(self, name: str, *arguments: str) -> Ran:
        """Run a command, and look at what it said."""
        asks = name not in {"check", "tree", "export", "sync", "cache"}
        given = ("--index-url", self.url) if self.way == "--index-url" and asks else ()
        where = () if name == "cache" else ("--project", str(self.folder))
        ran = minglibc(name, *where, *given, *arguments)
        assert [] == [form for form in FORMS if form in ran.out + ran.err], (name, ran)
        assert "Traceback" not in ran.err
        return ran

    def check_files(self, root: Path) -> None:
        """No file below *root*, and none of the cache and of the home, holds the password; nor does any name."""
        own = self.folder / "pyproject.toml"
        folders = [root, Path(os.environ["MINGLIBC_CACHE_DIR"]), Path(os.environ["HOME"])]
        for path in [path for folder in folders for path in folder.rglob("*")]:
            assert [] == [form for form in FORMS if form in str(path)]
            if path.is_file() and not path.is_symlink() and (path != own or self.way != "pyproject.toml"):
                content = path.read_bytes()
                assert [] == [form for form in FORMS if form.encode() in content], path


def test_a_password_is_left_nowhere(private: Private, tmp_path: Path) -> None:
    """X7: after every command at its most talkative, the password is in no lock, cache, environment, report, bundle or line."""
    assert 0 == private.run("lock", "-vv").code
    assert any("Authorization" in request.headers for request in private.index.requests)
    codes = {command: private.run(*command).code for command in EVERY_COMMAND}
    if private.way in {"netrc", "MINGLIBC_INDEX_URL"}:
        assert {0} == set(codes.values()), codes
    # Files that are open to all, at an address that still has the password in it.
    private.index.credentials = None
    for command in EVERY_COMMAND:
        assert 0 == private.run(*command).code
    private.check_files(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "bom.json", "requirements.txt", "bundled"} <= left


def test_a_password_is_in_no_error(private: Private, tmp_path: Path) -> None:
    """X7: whatever goes wrong with the index, no message has the password, nor has anything that is left."""
    index = private.index
    index.project_json = False
    for fault in (
        Fault.status(401),
        Fault.status(403),
        Fault.status(404),
        Fault.status(500),
        Fault.redirect("file:///etc/hostname"),
        Fault.redirect(lambda exchange: exchange.request.path),
        Fault.redirect("http://[x/"),
        Fault.redirect("//exam ple.invalid:port/"),
        Fault.redirect("http://exam\u00e9\u2100ple.invalid/".encode().decode("latin-1")),
        Fault.redirect(f"http://{QUOTED}@example.invalid/simple/b/"),
        Fault.body(LOGIN_PAGE, "text/html"),
        Fault.body(b"not JSON"),
        Fault.cut(),
        Fault.reset(),
    ):
        index._plans.clear()
        index.fault("/simple/b/", fault)
        assert private.run("lock", "-vv", "--upgrade", "--refresh").code
    index.credentials = (USER, "another")
    assert 3 == private.run("lock", "-vv", "--upgrade", "--refresh").code
    private.check_files(tmp_path)


def test_a_wrong_address_hides_its_password(private: Private) -> None:
    """C14: an address that can't be used is refused without its password."""
    for address in (
        "ftp://{}@127.0.0.1/simple/",
        "http://{}@[::1/",
        "http://{}@exam\u2100ple.invalid/",
        "http://{}@127.0.0.1:1/simple/",
        "{}@127.0.0.1/",
    ):
        ran = minglibc("lock", "--project", str(private.folder), "--index-url", address.format(QUOTED), "-vv")
        assert ran.code
        assert [] == [form for form in FORMS if form in ran.out + ran.err], ran
        assert "Traceback" not in ran.err


def test_another_host_is_told_nothing(private: Private) -> None:
    """X8, N23: where the index sends to another host, for pages or for files, no Authorization goes there."""
    index = private.index
    other = index.other
    other.add(build_wheel("b", "3.0"))
    index.fault("/simple/b/", Fault.redirect(f"{other.url}b/"))
    assert 0 == private.run("lock", "-vv").code
    assert "b-3.0" in (private.folder / "pylock.toml").read_text(encoding="utf-8")
    assert [] == [request.path for request in other.requests if "Authorization" in request.headers]
    assert any(request.path.startswith("/simple/b/") for request in other.requests)
