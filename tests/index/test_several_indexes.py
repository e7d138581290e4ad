"""Several indexes, and their credentials: a project comes from one index alone, and a password goes to one host alone."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minglibc.config import parser
from minglibc.errors import EXIT_CANNOT, EXIT_UNREACHABLE, SettingsError
from minglibc.index.credentials import Credentials, variable
from tests.support.commands import Ran, locked_versions, minglibc, read_lock
from tests.support.faults import Fault
from tests.support.index import Answer, IndexServer
from tests.support.wheels import build_wheel

DONE = 0
SECRET = "s3cret-p4ss"


@pytest.fixture
def public(index: IndexServer) -> IndexServer:
    """What anybody may publish to: corp 99.0 is listed there beside normal projects."""
    index.add(build_wheel("corp", "99.0"))
    index.add(build_wheel("app", "1.0", requires=["corp", "honest"]))
    index.add(build_wheel("honest", "1.0"))
    index.add(build_wheel("pip", "24.0"))
    return index


@pytest.fixture
def private() -> Iterator[IndexServer]:
    """The company's own index: corp 1.0."""
    with IndexServer() as server:
        server.add(build_wheel("corp", "1.0"))
        yield server


Lock = Callable[..., Ran]


@pytest.fixture
def lock(tmp_path: Path, public: IndexServer, private: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """Lock a project that requires app with both indexes, the private one under the name works."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")

    def run(*arguments: str, more: str = "", extra: str = "", url: str = "", requires: str = "app") -> Ran:
        (tmp_path / "pyproject.toml").write_text(
            f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{requires}"]\n'
            f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n{extra}'
            f'[[tool.minglibc.index]]\nname = "works"\nurl = "{url or private.url}"\n{more}'
            f'[[tool.minglibc.index]]\nname = "public"\nurl = "{public.url}"\ndefault = true\n'
        )
        return minglibc("lock", "--project", str(tmp_path), *arguments)

    return run


def _homes(folder: Path) -> dict[str, str]:
    return {str(package.name): str(package.index) for package in read_lock(folder).pylock.packages}


# Dependency confusion (X1 to X4)


def test_first_index_that_has_it(lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer) -> None:
    """X1: corp is the private 1.0 and never the public 99.0; the lock says of each where it came from."""
    ran = lock()
    assert DONE == ran.code, ran.err
    assert {"app": "1.0", "corp": "1.0", "honest": "1.0"} == locked_versions(tmp_path)
    assert {"app": public.url, "corp": private.url, "honest": public.url} == _homes(tmp_path)


def test_public_index_never_hears_of_private_projects(lock: Lock, public: IndexServer) -> None:
    """What the private index has, the public one is not asked about, by guess or by need, cold or warm."""
    for arguments in ((), ("--upgrade",), ("--upgrade", "--refresh")):
        assert DONE == lock(*arguments).code
    assert [] == public.paths("*corp*")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_private_index_that_fails_is_an_error(
    lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer, status: int
) -> None:
    """X2, X3: an index that can't say whether it has corp ends the lock; the public one is not asked in its place."""
    private.fault("/simple/corp/", Fault.status(status))
    ran = lock()
    assert EXIT_UNREACHABLE == ran.code, ran.err
    assert f"{private.url}corp/" in ran.err
    assert str(status) in ran.err
    assert [] == public.paths("*corp*")
    assert not (tmp_path / "pylock.toml").exists()


def test_private_index_that_is_gone_is_an_error(lock: Lock, public: IndexServer) -> None:
    """A private index that refuses connections hands nothing over to the public one."""
    ran = lock(url="http://127.0.0.1:1/simple/")
    assert EXIT_UNREACHABLE == ran.code
    assert "no connection to 127.0.0.1" in ran.err
    assert [] == public.paths()


@pytest.mark.parametrize("status", [404, 410])
def test_next_index_is_right_where_the_first_has_none(
    lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer, status: int
) -> None:
    """X4: an index that says that it has no such project is passed by."""
    private.fault("/simple/corp/", Fault.status(status))
    assert DONE == lock().code
    assert "99.0" == locked_versions(tmp_path)["corp"]
    assert public.url == _homes(tmp_path)["corp"]


def test_no_version_of_the_first_index_will_do(lock: Lock, public: IndexServer) -> None:
    """A requirement that the private releases don't meet is a conflict, and no reason to look elsewhere."""
    ran = lock(requires="corp>=2")
    assert EXIT_CANNOT == ran.code
    assert "no release of corp meets this" in ran.err
    assert [] == public.paths("*corp*")


def test_empty_project_page_is_the_projects_page(
    lock: Lock, private: IndexServer, public: IndexServer, tmp_path: Path
) -> None:
    """A project without files on the private index is still the private index's."""
    private.add_project("honest")
    ran = lock()
    assert EXIT_CANNOT == ran.code
    assert "honest has no releases" in ran.err
    assert [] == public.paths("*honest*")


def test_pinned_project(lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer) -> None:
    """A project that is pinned comes from its index, whatever an earlier one has; no other index hears of it."""
    private.add(build_wheel("honest", "0.5"))
    ran = lock(extra='sources = { Honest = { index = "public" } }\n')
    assert DONE == ran.code, ran.err
    assert {"app": "1.0", "corp": "1.0", "honest": "1.0"} == locked_versions(tmp_path)
    assert [] == private.paths("*honest*")
    private.remove("corp-1.0-py3-none-any.whl")
    private.fault("/simple/corp/", Fault.status(404))
    ran = lock("--upgrade", "--refresh", extra='sources = { corp = { index = "works" } }\n')
    assert EXIT_CANNOT == ran.code
    assert f"corp is not on {private.url}, the index that tool.minglibc.sources pins it to" in ran.err
    assert [] == public.paths("*corp*")


def test_explicit_index_is_asked_for_what_is_pinned_alone(lock: Lock, tmp_path: Path, private: IndexServer) -> None:
    """An explicit index serves its own projects and hears of no others."""
    private.add(build_wheel("honest", "5.0"))
    ran = lock(more="explicit = true\n", extra='sources = { corp = { index = "works" } }\n')
    assert DONE == ran.code, ran.err
    assert {"app": "1.0", "corp": "1.0", "honest": "1.0"} == locked_versions(tmp_path)
    assert {"/simple/corp/"} == set(private.paths("/simple/*"))


def test_index_url_is_another_door_to_the_default(lock: Lock, tmp_path: Path, public: IndexServer) -> None:
    """--index-url stands in for the default index, and the private one keeps its place before it."""
    with IndexServer() as mirror:
        mirror.add(build_wheel("corp", "100.0"))
        mirror.add(build_wheel("app", "1.0", requires=["corp"]))
        ran = lock("--index-url", mirror.url)
        assert DONE == ran.code, ran.err
        assert {"app": "1.0", "corp": "1.0"} == locked_versions(tmp_path)
        assert [] == public.paths()


# The cache of each index


@pytest.mark.parametrize("name", ["", "other="])
def test_index_of_the_command_line(
    lock: Lock, tmp_path: Path, private: IndexServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """--index precedes the configured indexes, for one run; its name selects its credentials, which are not locked."""
    with IndexServer() as other:
        other.add(build_wheel("corp", "3.0"))
        other.credentials = "me", SECRET
        address = other.url.replace("://", "://me:" if not name else "://")
        if name:
            monkeypatch.setenv(variable("other", "USERNAME"), "me")
            monkeypatch.setenv(variable("other", "PASSWORD"), SECRET)
        else:
            address = address.replace("me:", f"me:{SECRET}@")
        ran = lock("--index", f"{name}{address}")
        assert DONE == ran.code, ran.err
        assert other.url == _homes(tmp_path)["corp"]
        assert SECRET not in (tmp_path / "pylock.toml").read_text()
        # Its files are downloaded with the same credentials.
        ran = minglibc(
            "check", "--project", str(tmp_path), "--index", f"{name}{address}", str(tmp_path / "pylock.toml")
        )
        assert DONE == ran.code, ran.err
    assert 2 == lock("--index", "./wheels", "--upgrade").code
    # The lock is up to date, and what another index has is looked up nevertheless.
    with IndexServer() as third:
        third.add(build_wheel("corp", "4.0"))
        ran = lock("--index", third.url)
        assert "corp 3.0 → 4.0" in ran.err
    # A stale lock is not updated from other indexes than those it was made from.
    ran = lock("--upgrade")
    assert "corp 4.0 → 1.0" in ran.err


def test_each_index_has_its_own_cache(lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer) -> None:
    """Locked again within max-age, nothing is asked; and a page of one index never stands in for another's."""
    assert DONE == lock().code
    public.reset()
    private.reset()
    first = (tmp_path / "pylock.toml").read_bytes()
    (tmp_path / "pylock.toml").unlink()
    assert DONE == lock().code
    assert first == (tmp_path / "pylock.toml").read_bytes()
    assert [] == public.paths("/simple/*") + private.paths("/simple/*")
    ran = minglibc("lock", "--project", str(_single(tmp_path, public.url)))
    assert DONE == ran.code, ran.err
    assert "99.0" == locked_versions(tmp_path / "single")["corp"]


def _single(folder: Path, url: str) -> Path:
    (folder / "single").mkdir()
    (folder / "single" / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["app"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{url}"\n'
    )
    return folder / "single"


def test_only_the_index_whose_word_is_old_is_asked_again(lock: Lock, public: IndexServer, private: IndexServer) -> None:
    """Where the first index must be asked again, what the next one said still holds as long as it said."""
    private.fault("/simple/honest/", Fault.answer(Answer(404, b"No.", {"Cache-Control": "max-age=0"})))
    private.fault("/simple/app/", Fault.answer(Answer(404, b"No.", {"Cache-Control": "max-age=0"})))
    assert DONE == lock().code
    public.requests.clear()
    private.requests.clear()
    assert DONE == lock("--upgrade").code
    assert ["/simple/app/", "/simple/honest/"] == sorted(private.paths())
    assert [] == public.paths()


def test_page_in_no_known_form_is_an_error(lock: Lock, public: IndexServer, private: IndexServer) -> None:
    """An index that has a project's page and can't give it in JSON or HTML (406) does not lack the project."""
    private.fault("/simple/corp/", Fault.status(406))
    ran = lock()
    assert EXIT_UNREACHABLE == ran.code
    assert "neither in JSON nor in HTML (406)" in ran.err
    assert [] == public.paths("*corp*")


def test_offline_needs_every_indexs_word(lock: Lock, tmp_path: Path, private: IndexServer, public: IndexServer) -> None:
    """Offline, what the cache knows of each index decides; an index that was never asked is not taken to have nothing."""
    private.max_age = public.max_age = 0
    assert DONE == lock().code
    (tmp_path / "pylock.toml").unlink()
    ran = lock("--offline")
    assert DONE == ran.code, ran.err
    assert {"app": "1.0", "corp": "1.0", "honest": "1.0"} == locked_versions(tmp_path)
    with IndexServer() as other:
        ran = lock("--offline", "--upgrade", url=other.url)
    assert EXIT_UNREACHABLE == ran.code
    assert "is not in the cache" in ran.err


def test_new_private_project_is_found_on_refresh(lock: Lock, tmp_path: Path, private: IndexServer) -> None:
    """What the private index did not have is asked for again with --refresh, and comes from there once it does."""
    assert DONE == lock().code
    assert "1.0" == locked_versions(tmp_path)["honest"]
    private.add(build_wheel("honest", "0.1"))
    assert DONE == lock("--upgrade", "--refresh").code
    assert "0.1" == locked_versions(tmp_path)["honest"]
    assert private.url == _homes(tmp_path)["honest"]


def test_why_and_tree_of_two_indexes(lock: Lock, tmp_path: Path) -> None:
    """`why` and `outdated` read the pages from the index that each came from."""
    assert DONE == lock().code
    ran = minglibc("why", "corp", "--project", str(tmp_path))
    assert DONE == ran.code, ran.err
    assert "1.0" in ran.out
    assert "99.0" not in ran.out
    ran = minglibc("outdated", "--project", str(tmp_path))
    assert "99.0" not in ran.out + ran.err


def test_vulnerabilities_of_private_projects_are_asked_of_nobody(
    lock: Lock, tmp_path: Path, public: IndexServer
) -> None:
    """The public index's advisories are for its own projects: `outdated` does not tell it the private ones' names."""
    assert DONE == lock().code
    minglibc("outdated", "--project", str(tmp_path))
    assert public.paths("/pypi/honest/*")
    assert [] == public.paths("*corp*")


def test_sync_from_two_indexes(lock: Lock, tmp_path: Path) -> None:
    """Each wheel is downloaded from its own index."""
    assert DONE == lock().code
    ran = minglibc("sync", "--project", str(tmp_path))
    assert DONE == ran.code, ran.err
    assert ["corp-1.0.dist-info"] == [p.name for p in tmp_path.glob(".venv/lib/python3*/site-packages/corp-*")]


# Flat indexes: one page of files


@pytest.fixture
def flat(private: IndexServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a page that lists wheels of corp and of corp-tools, and a folder above them."""
    tools = build_wheel("corp-tools", "3.0", requires=["corp"])
    private.add(tools)
    names = ("corp-1.0-py3-none-any.whl", "corp_tools-3.0-py3-none-any.whl", "corp-tools-2.0.tar.gz")
    links = "".join(f'<a href="../files/{name}">{name}</a>\n' for name in names)
    page = f'<html><body><a href="../">up</a>\n{links}</body></html>'.encode()
    private.fault("/wheels/index.html", Fault.body(page, "text/html"))
    return f"{private.origin}/wheels/index.html"


def test_flat_index(lock: Lock, tmp_path: Path, public: IndexServer, private: IndexServer, flat: str) -> None:
    """A page of wheels is an index like any other, asked for once; its files have no hashes, and that is said."""
    public.add(build_wheel("app", "2.0", requires=["corp", "corp-tools", "honest"]))
    ran = lock(url=flat, more='format = "flat"\n')
    assert DONE == ran.code, ran.err
    assert {"app": "2.0", "corp": "1.0", "corp-tools": "3.0", "honest": "1.0"} == locked_versions(tmp_path)
    assert flat == _homes(tmp_path)["corp-tools"]
    assert public.url == _homes(tmp_path)["honest"]
    assert ["/wheels/index.html"] == private.paths("/wheels/*")
    assert [] == public.paths("*corp*")
    assert "gives no sha256 for corp_tools-3.0-py3-none-any.whl" in ran.err
    assert DONE == minglibc("sync", "--project", str(tmp_path)).code


@pytest.mark.parametrize("status", [404, 500])
def test_flat_index_that_is_gone_is_an_error(
    lock: Lock, private: IndexServer, public: IndexServer, status: int
) -> None:
    """A page of wheels that is not there says nothing of what it would hold: no other index is asked."""
    private.fault("/wheels/*", Fault.status(status))
    ran = lock(url=f"{private.origin}/wheels/", more='format = "flat"\n')
    assert EXIT_UNREACHABLE == ran.code
    assert f"{status}" in ran.err
    assert [] == public.paths()


def test_flat_index_that_is_a_login_page_is_an_error(lock: Lock, private: IndexServer, public: IndexServer) -> None:
    """A page without a link is no list of wheels."""
    private.fault("/wheels/*", Fault.body(b"<html><form>Password:</form></html>", "text/html"))
    ran = lock(url=f"{private.origin}/wheels/", more='format = "flat"\n')
    assert EXIT_UNREACHABLE == ran.code
    assert "a login page?" in ran.err
    assert [] == public.paths()


# Settings


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("index = 1", "tool.minglibc.index (line 6) is the number 1; expected tables"),
        ("[[tool.minglibc.index]]", "tool.minglibc.index[0].name (line 6) is missing; expected a name of letters"),
        (
            '[[tool.minglibc.index]]\nname = "a"',
            "tool.minglibc.index[0].url (line 6) is missing; expected a URL such as",
        ),
        ('[[tool.minglibc.index]]\nname = "a b"\nurl = "https://x/"', 'is "a b"; expected a name of letters'),
        ('[[tool.minglibc.index]]\nname = "a"\nurl = "ftp://x/"', 'is "ftp://x/"; expected a URL such as'),
        (
            '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\nurls = 1',
            "urls (line 6) is not a known setting; did you mean url?",
        ),
        ('[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\ndefault = 1', "expected true or false"),
        (
            '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\nformat = "html"',
            'expected one of "simple", "flat"',
        ),
        (
            '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\ndefault = true\nexplicit = true',
            "has both default and",
        ),
        (
            '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\n[[tool.minglibc.index]]\nname = "A"\nurl = "https://y/"',
            "is 'A', the name of an earlier index",
        ),
        (
            (
                '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\ndefault = true\n'
                '[[tool.minglibc.index]]\nname = "b"\nurl = "https://y/"\ndefault = true'
            ),
            "is the default, and so is a; keep one",
        ),
        (
            'index-url = "https://z/"\n[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"\ndefault = true',
            "tool.minglibc.index-url (line 6) can't be combined with an index that has default = true",
        ),
        ("sources = 1", "expected a table"),
        ('sources = { corp = "a" }', 'tool.minglibc.sources.corp is "a"; expected { index = "name" }'),
        ('sources = { corp = { index = "a", path = "b" } }', "expected { index"),
        (
            'sources = { corp = { index = "a" } }',
            "refers to the index 'a', which is not defined; there is no [[tool.minglibc.index]]",
        ),
        (
            'sources = { corp = { index = "b" } }\n[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"',
            "refers to the index 'b', which is not defined; defined are a",
        ),
        (
            (
                'sources = { Corp = { index = "a" }, corp = { index = "a" } }\n'
                '[[tool.minglibc.index]]\nname = "a"\nurl = "https://x/"'
            ),
            "is a duplicate: an earlier entry is for corp too",
        ),
        ('sources = { "corp>1" = { index = "a" } }', "expected a project name"),
    ],
)
def test_mistakes_are_named(table: str, message: str) -> None:
    """Each mistake in indexes and sources is named with its key and with what is due."""
    text = '[project]\nname = "x"\nrequires-python = ">=3.11"\n[tool.minglibc]\nglibc = "2.17"\n'
    with pytest.raises(SettingsError) as caught:
        parser.parse(f"{text}{table}\n")
    assert message in caught.value.message


def test_committed_password_is_a_warning(lock: Lock, private: IndexServer) -> None:
    """A password in an index's address is used, warned of, and not repeated."""
    private.credentials = ("user", SECRET)
    ran = lock(url=private.url.replace("http://", f"http://user:{SECRET}@"))
    assert DONE == ran.code, ran.err
    assert "tool.minglibc.index[0].url contains credentials" in ran.err
    assert SECRET not in ran.err + ran.out


# What each host is told (X7 and X8)


def _nothing_is_left(folder: Path, ran: Ran) -> None:
    """No file but pyproject.toml and the user's own, and no message, has the password."""
    everything = [*folder.rglob("*"), *Path(os.environ["MINGLIBC_CACHE_DIR"]).rglob("*")]
    kept = {"pyproject.toml", ".netrc", "netrc", "keyring"}
    files = [path for path in everything if path.is_file() and path.name not in kept]
    assert [] == [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in ran.out + ran.err


def _sync_and_bundle(folder: Path, private: IndexServer) -> None:
    """The locked wheels are downloaded with the same credentials."""
    ran = minglibc("sync", "-vv", "--project", str(folder))
    assert DONE == ran.code, ran.err
    _nothing_is_left(folder, ran)
    arguments = ("--project", str(folder), "-o", str(folder / "bundle"), "--cache-dir", str(folder / "empty"))
    ran = minglibc("bundle", "-vv", *arguments)
    assert DONE == ran.code, ran.err
    _nothing_is_left(folder, ran)
    assert (folder / "bundle" / "wheels" / "corp-1.0-py3-none-any.whl").exists()
    assert 200 == next(
        request.status for request in private.requests if request.path.endswith("corp-1.0-py3-none-any.whl")
    )


def test_credentials_by_variables(
    lock: Lock, private: IndexServer, public: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MINGLIBC_INDEX_WORKS_USERNAME and _PASSWORD are for the index of that name, in lock and sync, and for no other."""
    private.credentials = ("user", SECRET)
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_USERNAME", "user")
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_PASSWORD", SECRET)
    ran = lock("-vv")
    assert DONE == ran.code, ran.err
    _nothing_is_left(tmp_path, ran)
    _sync_and_bundle(tmp_path, private)
    assert [] == [request.path for request in public.requests if "Authorization" in request.headers]


def test_credentials_where_the_lock_is_alone(
    lock: Lock, private: IndexServer, public: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock names its indexes, so a machine that has nothing else is told which password is whose; none is in it."""
    private.credentials = ("user", SECRET)
    assert DONE == lock(url=private.url.replace("http://", f"http://user:{SECRET}@").rstrip("/")).code
    alone = tmp_path / "alone"
    alone.mkdir()
    (tmp_path / "pylock.toml").rename(alone / "pylock.toml")
    assert {"works": private.url, "public": public.url} == read_lock(alone).indexes
    sync = ("sync", "--frozen", "--project", str(alone))
    ran = minglibc(*sync)
    assert EXIT_UNREACHABLE == ran.code
    assert "MINGLIBC_INDEX_WORKS_USERNAME and MINGLIBC_INDEX_WORKS_PASSWORD" in ran.err
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_USERNAME", "user")
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_PASSWORD", SECRET)
    for arguments in (
        sync,
        (
            "check",
            "--project",
            str(alone),
            "--lock",
            str(alone / "pylock.toml"),
            "--cache-dir",
            str(tmp_path / "empty"),
        ),
        (
            "bundle",
            "--frozen",
            "--project",
            str(alone),
            "-o",
            str(alone / "bundle"),
            "--cache-dir",
            str(tmp_path / "no"),
        ),
    ):
        ran = minglibc(*arguments, "-vv")
        assert DONE == ran.code, ran.err
        _nothing_is_left(alone, ran)
    assert [] == [request.path for request in public.requests if "Authorization" in request.headers]


def test_variables_win_over_the_address(lock: Lock, private: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address may name the user and leave the password, or a newer one, to the environment."""
    private.credentials = ("user", SECRET)
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_PASSWORD", SECRET)
    for user in ("user", "user:old"):
        ran = lock("--upgrade", "--refresh", url=private.url.replace("http://", f"http://{user}@"))
        assert DONE == ran.code, ran.err


@pytest.mark.parametrize("by_variable", [True, False])
def test_netrc(
    lock: Lock, private: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_variable: bool
) -> None:
    """Netrc's entry for the host is used, from NETRC or from the home folder, by lock and sync."""
    private.credentials = ("user", SECRET)
    netrc = tmp_path / "netrc" if by_variable else Path(os.environ["HOME"]) / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {SECRET}\n")
    netrc.chmod(0o600)
    if by_variable:
        monkeypatch.setenv("NETRC", str(netrc))
    ran = lock("-vv")
    assert DONE == ran.code, ran.err
    _nothing_is_left(tmp_path, ran)
    _sync_and_bundle(tmp_path, private)


def test_netrc_default_goes_to_nobody(
    lock: Lock, private: IndexServer, public: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Netrc's default entry would send a password to any host: it is passed over."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine elsewhere.invalid login a password b\ndefault login user password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert DONE == lock().code
    requests = [*private.requests, *public.requests]
    assert [] == [request.path for request in requests if "Authorization" in request.headers]


def test_netrc_that_is_broken_is_named_in_the_refusal(
    lock: Lock, private: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken netrc stops nobody who needs none; who is refused for it learns its line, and nothing that stands in it."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login user\n{SECRET} password\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert DONE == lock().code
    private.credentials = ("user", SECRET)
    ran = lock("--upgrade", "--refresh")
    assert EXIT_UNREACHABLE == ran.code
    assert f"{netrc} is invalid (line" in ran.err
    assert SECRET not in ran.err


def test_keyring_is_asked_where_it_is_wanted(
    lock: Lock, private: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MINGLIBC_KEYRING_PROVIDER=subprocess the keyring command is asked for the user's password; unasked it is not run."""
    private.credentials = ("user", SECRET)
    program = tmp_path / "keyring"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f'[ "$2" = 127.0.0.1 ] && [ "$3" = user ] && echo {SECRET} && exit 0\nexit 1\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    url = private.url.replace("http://", "http://user@")
    assert EXIT_UNREACHABLE == lock(url=url).code
    assert not (tmp_path / "asked").exists()
    monkeypatch.setenv("MINGLIBC_KEYRING_PROVIDER", "subprocess")
    ran = lock("-vv", url=url)
    assert DONE == ran.code, ran.err
    _nothing_is_left(tmp_path, ran)
    assert [f"get {private.url} user", "get 127.0.0.1 user"] == (tmp_path / "asked").read_text().splitlines()
    _sync_and_bundle(tmp_path, private)


def test_keyring_that_is_not_there_is_said(lock: Lock, private: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring command that can't be run is named in the refusal; another provider is a mistake in the settings."""
    private.credentials = ("user", SECRET)
    monkeypatch.setenv("MINGLIBC_KEYRING_PROVIDER", "subprocess")
    monkeypatch.setenv("PATH", "/nonexistent")
    ran = lock(url=private.url.replace("http://", "http://user@"))
    assert EXIT_UNREACHABLE == ran.code
    assert "the keyring command failed" in ran.err
    monkeypatch.setenv("MINGLIBC_KEYRING_PROVIDER", "import")
    ran = lock(url=private.url.replace("http://", "http://user@"))
    assert 2 == ran.code
    assert "expected one of disabled, subprocess" in ran.err


def test_refusal_names_the_index_and_the_ways(lock: Lock, private: IndexServer, tmp_path: Path) -> None:
    """A 401 says which index, that it was told nothing, and each way to tell it."""
    private.credentials = ("user", SECRET)
    ran = lock()
    assert EXIT_UNREACHABLE == ran.code
    ways = (
        "none are set",
        "netrc (machine 127.0.0.1)",
        "MINGLIBC_INDEX_WORKS_USERNAME",
        "MINGLIBC_INDEX_WORKS_PASSWORD",
    )
    assert [] == [text for text in (f"{private.url}app/", "401", *ways) if text not in ran.err], ran.err


def test_sync_says_how_to_give_credentials(
    lock: Lock, private: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked wheel that wants a password is named with the ways to give it, and nothing is installed."""
    assert DONE == lock().code
    private.credentials = ("user", SECRET)
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_USERNAME", "user")
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_PASSWORD", "wrong")
    ran = minglibc("sync", "--project", str(tmp_path))
    assert EXIT_UNREACHABLE == ran.code
    assert "corp-1.0-py3-none-any.whl is denied (HTTP 401)" in ran.err
    assert "it rejected those that were sent; set them in netrc (machine 127.0.0.1)" in ran.err
    assert [] == list(tmp_path.glob(".venv/lib/python3*/site-packages/corp*"))


def test_redirects_carry_nothing_to_another_host(
    lock: Lock, private: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X8: pages and files that are redirected to another host are fetched there without the first one's password."""
    private.credentials = ("user", SECRET)
    private.other.add(build_wheel("corp", "1.0"))
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_USERNAME", "user")
    monkeypatch.setenv("MINGLIBC_INDEX_WORKS_PASSWORD", SECRET)
    for pattern in ("/simple/corp/", "*.whl", "*.metadata"):
        private.fault(pattern, _redirected)
    ran = lock()
    assert DONE == ran.code, ran.err
    ran = minglibc("sync", "--project", str(tmp_path))
    assert DONE == ran.code, ran.err
    assert private.other.paths("/simple/corp/")
    assert [] == [request.path for request in private.other.requests if "Authorization" in request.headers]


def _redirected(exchange: object) -> None:
    server, request = exchange.server, exchange.request  # type: ignore[attr-defined]  # an Exchange
    assert "Authorization" in request.headers
    exchange.send(Answer(302, headers={"Location": f"{server.other.origin}{request.path}"}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("taken", "requested", "sent"),
    [
        ("https://u:p@h.invalid/simple/", "https://h.invalid/files/x.whl", True),
        ("https://u:p@h.invalid/simple/", "https://H.invalid:443/files/x.whl", True),
        ("https://u:p@h.invalid/simple/", "http://h.invalid/files/x.whl", False),
        ("https://u:p@h.invalid/simple/", "https://h.invalid:8443/files/x.whl", False),
        ("https://u:p@h.invalid/simple/", "http://h.invalid:443/files/x.whl", False),
        ("https://u:p@h.invalid/simple/", "https://files.h.invalid/x.whl", False),
        ("https://u:p@h.invalid/simple/", "https://h.invalid.evil.invalid/x.whl", False),
        ("https://u:p@h.invalid/simple/", "https://evil.invalid/h.invalid/", False),
    ],
)
def test_credentials_are_for_one_origin(taken: str, requested: str, *, sent: bool) -> None:
    """Scheme, host and port must all be those that the password was given for."""
    credentials = Credentials()
    assert "https://h.invalid/simple/" == credentials.take(taken)
    assert sent == ("Authorization" in credentials.headers(requested))


def test_percent_signs_and_names() -> None:
    """What an address has in percent signs is decoded; an index's variables are its name in capitals."""
    credentials = Credentials()
    credentials.take("https://us%40er:p%3Aw@h.invalid/")
    assert {"Authorization": "Basic dXNAZXI6cDp3"} == credentials.headers("https://h.invalid/x")
    assert "MINGLIBC_INDEX_OUR_OWN_1_PASSWORD" == variable("our-own.1", "PASSWORD")
