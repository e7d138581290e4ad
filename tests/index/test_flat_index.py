"""Flat indexes on this machine: a folder of wheels or a page of links, an index like any other but for where its files are."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.cache.pages import Store
from minglibc.config import parser
from minglibc.errors import EXIT_CANNOT, EXIT_UNREACHABLE, EXIT_USAGE, SettingsError
from minglibc.index.addresses import IndexAddresses
from minglibc.index.client import Index
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.prefetch import Speculation
from tests.support.commands import Ran, locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.wheels import BuiltWheel, build_wheel

DONE = 0


@pytest.fixture(autouse=True)
def public(index: IndexServer) -> IndexServer:
    """What anybody may publish to: corp 99.0 is listed there beside normal projects."""
    index.add(build_wheel("corp", "99.0"))
    index.add(build_wheel("app", "1.0", requires=["corp", "correct"]))
    index.add(build_wheel("correct", "1.0"))
    index.add(build_wheel("pip", "24.0"))
    return index


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """The folder of wheels beside pyproject.toml: corp, and what lies about in such folders."""
    folder = tmp_path / "wheels"
    put(folder, build_wheel("corp", "1.0"), build_wheel("corp", "1.5", "cp311-cp311-manylinux_2_28_x86_64"))
    put(folder, build_wheel("Other_Corp", "2.0"))
    for name in ("corp-1.6.tar.gz", "README.txt", "corp.whl", "corp-1.0-py3-none-any.whl.part"):
        (folder / name).write_bytes(b"no wheel")
    return folder


def put(folder: Path, *wheels: BuiltWheel) -> None:
    """Write *wheels* into *folder*."""
    folder.mkdir(exist_ok=True)
    for wheel in wheels:
        (folder / wheel.filename).write_bytes(wheel.content)


Lock = Callable[..., Ran]


@pytest.fixture
def lock(tmp_path: Path, public: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """Lock a project that requires app with the index at *url* before the public one."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")

    def run(
        *arguments: str,
        url: str = "./wheels",
        requires: str = "app",
        table: str = "",
        extra: str = "",
        last: bool = True,
    ) -> Ran:
        default = f'[[tool.minglibc.index]]\nname = "public"\nurl = "{public.url}"\ndefault = true\n' if last else ""
        (tmp_path / "pyproject.toml").write_text(
            f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{requires}"]\n'
            f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n{extra}'
            f'[[tool.minglibc.index]]\nname = "works"\nurl = "{url}"\nformat = "flat"\n{table}{default}'
        )
        return minglibc("lock", "--project", str(tmp_path), *arguments)

    return run


@pytest.mark.parametrize("url", ["./wheels", "wheels", "wheels/", "file:wheels", "file:./wheels", "file://{}/wheels"])
def test_folder(lock: Lock, tmp_path: Path, wheels: Path, public: IndexServer, url: str) -> None:
    """A folder is the page of all wheels in it: what it has, no other index is asked for, and the lock has its path."""
    ran = lock(url=url.format(tmp_path))
    assert DONE == ran.code, ran.err
    assert {"app": "1.0", "corp": "1.0", "correct": "1.0"} == locked_versions(tmp_path)
    assert [] == public.paths("*corp*")
    corp = next(package for package in read_lock(tmp_path).pylock.packages if package.name == "corp")
    built = build_wheel("corp", "1.0")
    assert corp.index is None
    assert corp.wheels
    assert ("wheels/corp-1.0-py3-none-any.whl", None) == (corp.wheels[0].path, corp.wheels[0].url)
    assert ({"sha256": built.sha256}, len(built.content)) == (corp.wheels[0].hashes, corp.wheels[0].size)
    assert "file:" not in (tmp_path / "pylock.toml").read_text()
    assert "gives no sha256" not in ran.err
    assert "held back by the cap: corp 1.0 (1.5 needs glibc 2.28)" in ran.err
    assert wheels.is_dir()


def test_same_bytes_wherever_the_project_is(lock: Lock, tmp_path: Path, wheels: Path) -> None:
    """The lock of a project that was moved, folder and all, is the same."""
    assert DONE == lock().code
    first = (tmp_path / "pylock.toml").read_bytes()
    elsewhere = tmp_path / "else where%41"
    elsewhere.mkdir()
    for path in (wheels, tmp_path / "pyproject.toml"):
        path.rename(elsewhere / path.name)
    ran = minglibc("lock", "--project", str(elsewhere))
    assert DONE == ran.code, ran.err
    assert first == (elsewhere / "pylock.toml").read_bytes()


@pytest.mark.usefixtures("wheels")
def test_sync_bundle_and_check_take_it_from_its_path(lock: Lock, tmp_path: Path) -> None:
    """Wheels of a folder are installed, bundled and checked from where they lie."""
    assert DONE == lock().code
    project = ("--project", str(tmp_path))
    ran = minglibc("sync", *project)
    assert DONE == ran.code, ran.err
    assert ["corp-1.0.dist-info"] == [p.name for p in tmp_path.glob(".venv/lib/python3*/site-packages/corp-*")]
    ran = minglibc("bundle", *project, "-o", str(tmp_path / "bundle"))
    assert DONE == ran.code, ran.err
    assert (tmp_path / "bundle" / "wheels" / "corp-1.0-py3-none-any.whl").exists()
    ran = minglibc("check", *project)
    assert DONE == ran.code, ran.err
    assert "in 3 wheels" in ran.err
    for command in (("why", "corp"), ("outdated",), ("caps",), ("report", "--json"), ("tree",)):
        ran = minglibc(*command, *project)
        assert DONE == ran.code, ran.err
    assert EXIT_USAGE == minglibc("export", *project).code


def test_wheel_that_was_changed(lock: Lock, tmp_path: Path, wheels: Path) -> None:
    """A wheel that is another one by now is not installed; `lock` does not see it, and `lock -U` takes it as it is."""
    assert DONE == lock().code
    put(wheels, build_wheel("corp", "1.0", padding=10))
    ran = minglibc("sync", "--project", str(tmp_path))
    assert EXIT_UNREACHABLE != ran.code != DONE
    assert "corp-1.0-py3-none-any.whl is not the file that was locked" in ran.err
    assert "is up to date" in lock("--check").err
    put(wheels, build_wheel("corp", "1.1"))
    assert "is up to date" in lock().err
    assert DONE == lock("-U").code
    assert "1.1" == locked_versions(tmp_path)["corp"]
    assert DONE == minglibc("sync", "--project", str(tmp_path)).code


@pytest.mark.usefixtures("wheels")
def test_offline(lock: Lock, tmp_path: Path) -> None:
    """A folder alone asks no network: it is an index for machines that have none."""
    ran = lock("--offline", requires="other.corp", table="default = true\n", last=False)
    assert DONE == ran.code, ran.err
    assert {"other-corp": "2.0"} == locked_versions(tmp_path)
    ran = lock("--offline", requires="correct", table="default = true\n", last=False)
    assert EXIT_CANNOT == ran.code
    assert "correct is on no index" in ran.err


@pytest.mark.usefixtures("wheels")
def test_pinned(lock: Lock, tmp_path: Path, public: IndexServer) -> None:
    """An explicit folder serves what is pinned to it, and a pinned project that it does not have is on no other index."""
    pinned = 'sources = { corp = { index = "works" } }\n'
    assert DONE == lock(table="explicit = true\n", extra=pinned).code
    assert "1.0" == locked_versions(tmp_path)["corp"]
    public.requests.clear()
    ran = lock("-U", table="explicit = true\n", extra='sources = { correct = { index = "works" } }\n')
    assert EXIT_CANNOT == ran.code
    assert "/wheels, the index that tool.minglibc.sources pins it to" in ran.err
    assert [] == public.paths("*correct*")


def test_private_index_before_and_behind_a_folder(lock: Lock, tmp_path: Path, wheels: Path) -> None:
    """Of a server's index, a folder and the default, each is asked in its turn, cold and warm."""
    put(wheels, build_wheel("correct", "0.5"))
    with IndexServer() as private:
        private.add(build_wheel("corp", "1.7"))
        before = f'[[tool.minglibc.index]]\nname = "private"\nurl = "{private.url}"\n'
        for arguments in ((), ("-U",), ("-U", "--refresh")):
            ran = lock(*arguments, extra=before)
            assert DONE == ran.code, ran.err
            assert {"app": "1.0", "corp": "1.7", "correct": "0.5"} == locked_versions(tmp_path)
        last = f'{before}[[tool.minglibc.index]]\nname = "last"\nurl = "wheels"\nformat = "flat"\ndefault = true\n'
        ran = lock("-U", url="nothing.html", requires="missing", extra=last, last=False)
        assert EXIT_USAGE == ran.code
        (tmp_path / "nothing.html").write_text("<title>Links for nothing</title>")
        for _ in range(2):
            ran = lock("-U", url="nothing.html", requires="missing", extra=last, last=False)
            assert EXIT_CANNOT == ran.code
            assert "missing is on no index" in ran.err


def test_page_of_links(lock: Lock, tmp_path: Path, wheels: Path, public: IndexServer) -> None:
    """A page on this machine links wheels beside it and on servers; a hash that it gives is held against the file."""
    correct = public.url.replace("/simple/", "/files/correct-1.0-py3-none-any.whl")
    digest = build_wheel("corp", "1.0").sha256
    page = f'<a href="corp-1.0-py3-none-any.whl#sha256={{}}">corp</a> <a href="{correct}">correct</a>'
    (wheels / "links.html").write_text(page.format(digest))
    ran = lock(url="file:wheels/links.html")
    assert DONE == ran.code, ran.err
    packages = {str(package.name): package for package in read_lock(tmp_path).pylock.packages}
    corp, own = packages["corp"].wheels, packages["correct"].wheels
    assert corp
    assert own
    assert ("wheels/corp-1.0-py3-none-any.whl", correct) == (corp[0].path, own[0].url)
    assert "gives no sha256 for correct" in ran.err
    (wheels / "links.html").write_text(page.format("0" * 64))
    ran = lock("-U", url="file:wheels/links.html")
    assert EXIT_CANNOT == ran.code
    assert f"corp-1.0-py3-none-any.whl is not the expected file: its hash is sha256:{digest}" in ran.err
    (wheels / "links.html").write_text("<form>Password:</form>")
    assert "lists no files" in lock("-U", url="file:wheels/links.html").err


def test_page_that_leads_elsewhere(tmp_path: Path) -> None:
    """A page may not bring a file into a lock that lies elsewhere on the machine, nor a server's page any at all."""
    outside = tmp_path / "outside"
    put(outside, build_wheel("corp", "1.0"))
    root = tmp_path / "project"
    root.mkdir()
    links = ("../outside/corp-1.0-py3-none-any.whl", f"file://{root}/../outside/corp-1.0-py3-none-any.whl")
    compatibility = TargetCompatibility(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)))
    for link in links:
        (root / "links.html").write_text(f'<a href="{link}">corp</a>')
        url = f"file://{root}/links.html"
        addresses = IndexAddresses(url, flat=[url], root=str(root))
        index = Index(addresses, Store(str(tmp_path / "cache")), lambda: Speculation([], []))
        wheel = index.project("corp").wheels(0)[0]
        verdict = compatibility.check(wheel)
        assert isinstance(verdict, Rejection)
        assert Reason.UNUSABLE is verdict.reason


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("../wheels", "the index works, ../wheels, is outside the project's folder; copy it there"),
        ("/srv/wheels", "is outside the project's folder"),
        ("file://server/wheels", "is on another machine"),
        ("./missing", "missing: No such file or directory"),
    ],
)
def test_folder_that_cannot_be_an_index(lock: Lock, public: IndexServer, url: str, message: str) -> None:
    """A folder outside of the project's, or one that is not there, is an error, and no other index is asked in its place."""
    ran = lock(url=url)
    assert EXIT_USAGE == ran.code
    assert message in ran.err
    assert [] == public.paths("*corp*")


@pytest.mark.parametrize(
    ("url", "message"),
    [("./wheels", 'for a folder of wheels, add format = "flat"'), ("ftp://x/", "expected a URL such as")],
)
def test_simple_index_is_no_folder(url: str, message: str) -> None:
    """A path is for flat indexes alone, and the error says so."""
    text = '[project]\nname = "x"\nrequires-python = ">=3.11"\n[tool.minglibc]\nglibc = "2.17"\n'
    with pytest.raises(SettingsError) as caught:
        parser.parse(f'{text}[[tool.minglibc.index]]\nname = "a"\nurl = "{url}"\n')
    assert message in caught.value.message


def test_broken_wheel_is_passed_over(lock: Lock, tmp_path: Path, wheels: Path) -> None:
    """A wheel that can't be read is no release, as on any index; one that may not be read is an error."""
    put(wheels, build_wheel("corp", "1.4")._replace(content=b"PK\x03\x04 cut"))
    ran = lock()
    assert DONE == ran.code, ran.err
    assert "1.0" == locked_versions(tmp_path)["corp"]
    (wheels / "corp-1.4-py3-none-any.whl").unlink()
    (wheels / "corp-1.4-py3-none-any.whl").symlink_to("nowhere")
    ran = lock("-U")
    assert EXIT_CANNOT == ran.code
    assert "corp-1.4-py3-none-any.whl: No such file or directory" in ran.err


def test_own_requires_python_counts(lock: Lock, tmp_path: Path, wheels: Path) -> None:
    """A folder's page says no Requires-Python; the wheel's own metadata does, and is obeyed."""
    put(wheels, build_wheel("corp", "1.8", requires_python=">=3.12"))
    assert DONE == lock().code
    assert "1.0" == locked_versions(tmp_path)["corp"]


def test_requirements_file_elsewhere(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the pyproject.toml beside a requirements file names is the same for a lock that lies elsewhere."""
    part = tmp_path / "part"
    part.mkdir()
    wheels.rename(part / "wheels")
    (part / "requirements.in").write_text("corp\n")
    (part / "pyproject.toml").write_text(
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n'
        '[[tool.minglibc.index]]\nname = "works"\nurl = "wheels"\nformat = "flat"\ndefault = true\n'
    )
    monkeypatch.chdir(tmp_path)
    ran = minglibc("lock", "-r", "part/requirements.in", "-o", "pylock.toml")
    assert DONE == ran.code, ran.err
    found = read_lock(tmp_path).pylock.packages[0].wheels
    assert found
    assert os.path.join("part", "wheels", "corp-1.0-py3-none-any.whl") == found[0].path
