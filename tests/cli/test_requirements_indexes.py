"""Index options in requirements files: as pip reads them, but a project comes from one index."""

from pathlib import Path

import pytest

from minglibc.config import inputs
from minglibc.config.lock_source import LockSource
from minglibc.config.parser import parse
from minglibc.config.settings import Settings
from minglibc.errors import SettingsError
from tests.support.commands import locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

A, B, PYPI = "https://a.example.invalid/simple", "https://b.example.invalid/simple", "https://pypi.org/simple"
TARGET = '[tool.minglibc]\nglibc = "2.28"\npython = ["3.11"]\n'


def read(folder: Path, *lines: str, pyproject: str = "", name: str = "r.txt") -> tuple[Settings, tuple[str, ...]]:
    """The settings of a requirements file with *lines*, and the notes about it."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["demo", *lines, ""]), encoding="utf-8")
    (folder / name).with_name("pyproject.toml").write_text(TARGET + pyproject, encoding="utf-8")
    text = inputs.read(LockSource((name,)), str(folder))
    return parse(text.pyproject, written=False), text.notes


def order(settings: Settings) -> list[tuple[str, bool]]:
    """The addresses of the indexes, and which one is the default."""
    return [(index.url, index.default) for index in settings.indexes]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["-i " + PYPI], []),
        (["--index-url=https://pypi.python.org/simple/"], []),
        ([f"-i {A}"], [(A, True)]),
        ([f"-i{A}"], [(A, True)]),
        ([f"-i {A}", f"-i {B}"], [(B, True)]),
        ([f"-i {A}", f"-i {B}", f"-i {A}"], [(A, True)]),
        ([f"--extra-index-url {A}"], [(A, False)]),
        ([f"-i {A} --extra-index-url {B}"], [(B, False), (A, True)]),
        ([f"-i {A}", f"--extra-index-url {PYPI}"], [(A, False)]),
        ([f"-i {PYPI}", f"--extra-index-url '{A}'", f"--extra-index-url {A}/"], [(A, False)]),
        (["-f wheels", f"--extra-index-url {A}"], [("wheels", False), (A, False)]),
        ([f"--no-index --find-links wheels -i {A}"], [("wheels", True)]),
        ([f"-f {A}/page.html", "--no-index", "-f wheels"], [(f"{A}/page.html", False), ("wheels", True)]),
        (["--extra-index-url https://${USER}:${TOKEN}@a.example.invalid/simple"], [(A, False)]),
    ],
)
def test_order(lines: list[str], expected: list[tuple[str, bool]], tmp_path: Path) -> None:
    """Folders come first, then extra indexes, then the index; PyPI is the last one, unless another replaces it."""
    settings, notes = read(tmp_path, *lines)
    assert order(settings) == expected
    assert bool(expected) == any("comes from the first index that has it" in note for note in notes)


def test_names(tmp_path: Path) -> None:
    """Indexes are named by host or path, so that environment variables can have their credentials."""
    settings, notes = read(tmp_path, f"--extra-index-url {A}", f"-i {A}/other", "-f ./my.wheels/")
    assert [index.name for index in settings.indexes] == ["my-wheels", "a-example-invalid", "a-example-invalid-2"]
    assert notes == (
        "r.txt: a package comes from the first index that has it: my-wheels, a-example-invalid, a-example-invalid-2",
    )


def test_settings_beside_the_file(tmp_path: Path) -> None:
    """Indexes of [tool.minglibc] apply instead; a file may name them and PyPI, but no others."""
    own = f'[[tool.minglibc.index]]\nname = "own"\nurl = "{A}/"\n'
    settings, _ = read(tmp_path, f"--extra-index-url {A}", f"-i {PYPI}", pyproject=own)
    assert order(settings) == [(f"{A}/", False)]
    with pytest.raises(SettingsError, match=r"r\.txt:2 --index-url https://b\.example\.invalid/simple is not an index"):
        read(tmp_path, f"-i {B}", pyproject=own)
    with pytest.raises(SettingsError, match=r"r\.txt:2 --no-index contradicts the indexes"):
        read(tmp_path, "--no-index", pyproject=own)


def test_index_of_uv_beside_the_file(tmp_path: Path) -> None:
    """The index of the file replaces the default one of [tool.uv], whose other indexes follow."""
    uv = f'[[tool.uv.index]]\nname = "one"\nurl = "{A}"\n[[tool.uv.index]]\nname = "two"\nurl = "{A}/2"\ndefault = true\n'
    settings, _ = read(tmp_path, f"-i {B}", pyproject=uv)
    assert order(settings) == [(B, True), (A, False)]


def test_folder_of_a_file_in_another_folder(tmp_path: Path) -> None:
    """A path is relative to the file that has it."""
    settings, _ = read(tmp_path, "-f wheels", "-f file:more", name="sub/r.txt")
    assert [index.url for index in settings.indexes] == ["sub/wheels", "sub/more"]


def test_lock_and_sync(tmp_path: Path, index: IndexServer) -> None:
    """The packages come from the indexes that the file names, `--pre` applies, and `sync` needs no option."""
    for version in ("1.0", "2.0rc1"):
        index.add(build_wheel("public", version))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    own = build_wheel("own", "1.0", requires=["public"])
    (wheels / own.filename).write_bytes(own.content)
    lines = f"--trusted-host 127.0.0.1 --pre\n--only-binary=:all:\n-i {index.url}\n-f wheels\nown\n"
    (tmp_path / "r.txt").write_text(lines, encoding="utf-8")
    ran = minglibc("lock", "-r", str(tmp_path / "r.txt"), "--glibc", "2.17", "--python", "3.11")
    assert ran.code == 0, ran.err
    assert locked_versions(tmp_path) == {"own": "1.0", "public": "2.0rc1"}
    assert "--trusted-host is ignored: certificates are always verified" in ran.err
    assert read_lock(tmp_path).indexes == {"127-0-0-1": index.url}
    assert minglibc("lock", "-r", str(tmp_path / "r.txt"), "--check").code == 0
    ran = minglibc("sync", "--dry-run", "--lock", str(tmp_path / "pylock.toml"))
    assert ran.out == " + own==1.0\n + public==2.0rc1\n"


def test_no_credentials_in_the_lock(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of variables are in neither the lock nor the output."""
    monkeypatch.setenv("TOKEN", "secret-token")
    index.add(build_wheel("own", "1.0"))
    url = index.url.replace("http://", "http://user:${TOKEN}@")
    (tmp_path / "r.txt").write_text(f"--index-url {url}\nown\n", encoding="utf-8")
    ran = minglibc("lock", "-r", str(tmp_path / "r.txt"), "--glibc", "2.17", "--python", "3.11")
    assert ran.code == 0, ran.err
    assert "r.txt: line 1: user and password are not read from variables; store them in netrc" in ran.err
    text = (tmp_path / "pylock.toml").read_text(encoding="utf-8")
    assert "secret-token" not in text + ran.err
    assert "TOKEN" not in text


def test_credentials_in_the_file(tmp_path: Path) -> None:
    """A password in the file is used, with a warning that names the file and does not show it."""
    settings, _ = read(tmp_path, "-i https://user:secret@a.example.invalid/simple")
    assert settings.warnings == (
        "r.txt: --index-url contains credentials, and the file is committed; store them in netrc or in environment variables",
    )
