"""Locks changed by an attacker, a merge or an editor: nothing is installed from it, and the problem is reported."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.lock.digest import seal
from tests.support import child
from tests.support.environments import LockedProject, check_whole, installed, snapshot
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

Change = Callable[[str], str]


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> LockedProject:
    """A project of a, which requires b, locked and synced."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    made = LockedProject(tmp_path / "project", index)
    made.lock("a")
    assert 0 == made.sync().code
    return made


def swap(old: str, new: str) -> Change:
    """Replace the last *old*, which is in what the lock says of b."""

    def change(text: str) -> str:
        before, separator, after = text.rpartition(old)
        assert separator, old
        return before + new + after

    return change


def hashes(new: str) -> Change:
    """Put other hashes in the place of b's."""

    def change(text: str) -> str:
        start = text.rindex("[packages.wheels.hashes]\n") + len("[packages.wheels.hashes]\n")
        return text[:start] + new + text[text.index("\n", start) :]

    return change


def url(new: Callable[[str], str]) -> Change:
    """Put another URL in the place of b's."""

    def change(text: str) -> str:
        start = text.rindex('\nurl = "') + len('\nurl = "')
        stop = text.index('"', start)
        return text[:start] + new(text[start:stop]) + text[stop:]

    return change


def with_path(path: str) -> Change:
    """Put a path in the place of b's URL."""

    def change(text: str) -> str:
        start = text.rindex('\nurl = "') + 1
        return f'{text[:start]}path = "{path}"{text[text.index(chr(10), start) :]}'

    return change


def package(extra: str) -> Change:
    """Add a line to the entry of b."""
    return swap('name = "b"\n', f'name = "b"\n{extra}\n')


WHEEL_OF_B = "b-1.0-py3-none-any.whl"
# An edit → the message. The digests are updated, so that only the check of the content can reject the lock.
CHANGES: dict[str, tuple[Change, str]] = {
    "no hash": (hashes(""), "hash"),
    "md5": (hashes(f'md5 = "{"ab" * 16}"'), f"{WHEEL_OF_B} has no sha256, sha384 or sha512"),
    "sha1": (hashes(f'sha1 = "{"ab" * 20}"'), f"{WHEEL_OF_B} has no sha256, sha384 or sha512"),
    "another hash": (hashes(f'sha256 = "{"ab" * 32}"'), "not the file that was locked"),
    "half a hash": (hashes('sha256 = "ab"'), "has an invalid sha256"),
    "a hash of other letters": (hashes(f'sha256 = "{"zz" * 32}"'), "has an invalid sha256"),
    "a hash that is a path": (hashes('sha256 = "../../../x"'), "has an invalid sha256"),
    "file:": (url(lambda _: f"file:///tmp/{WHEEL_OF_B}"), f"{WHEEL_OF_B} has no http(s) URL"),
    "ftp:": (url(lambda old: old.replace("http:", "ftp:")), f"{WHEEL_OF_B} has no http(s) URL"),
    "a relative URL": (url(lambda _: f"../{WHEEL_OF_B}"), f"{WHEEL_OF_B} has no http(s) URL"),
    "credentials": (url(lambda old: old.replace("//", "//user:s3cret@")), f"{WHEEL_OF_B} has credentials in its URL"),
    "a host that is none": (url(lambda _: f"http://[x/{WHEEL_OF_B}"), "IPv6"),
    "a path": (swap('\nurl = "', f'\npath = "../../{WHEEL_OF_B}"\nurl = "'), "or both a URL and a path"),
    "a path that climbs": (with_path("../../precious"), "has a path outside the lock's folder"),
    "an absolute path": (with_path("/etc/hostname"), "has a path outside the lock's folder"),
    "a path with backslashes": (with_path("..\\\\precious"), "has a path outside the lock's folder"),
    "a path to what is not there": (with_path(f"wheels/{WHEEL_OF_B}"), WHEEL_OF_B),
    "a name that climbs": (swap(f'name = "{WHEEL_OF_B}"', f'name = "../../{WHEEL_OF_B}"'), "Invalid wheel filename"),
    "another version's wheel": (swap(f'name = "{WHEEL_OF_B}"', 'name = "b-2.0-py3-none-any.whl"'), "not consistent"),
    "another project's wheel": (swap(f'name = "{WHEEL_OF_B}"', 'name = "c-1.0-py3-none-any.whl"'), "not consistent"),
    "another system's wheel": (swap(f'name = "{WHEEL_OF_B}"', 'name = "b-1.0-py3-none-win_amd64.whl"'), "b"),
    "a wheel above the cap": (
        swap(f'name = "{WHEEL_OF_B}"', 'name = "b-1.0-py3-none-manylinux_2_99_x86_64.whl"'),
        "needs glibc 2.99; the cap is glibc 2.17",
    ),
    "a negative size": (swap("\nsize = ", "\nsize = -"), "negative size"),
    "another size": (swap("\nsize = ", "\nsize = 9"), "the lock has 9"),
    "a repository": (package('vcs = { type = "git", url = "https://example.invalid/b", commit-id = "1" }'), "b"),
    "a folder": (package('directory = { path = "../b" }'), "b"),
    "no wheels": (lambda text: text[: text.rindex("[[packages.wheels]]")] + text[text.rindex("[tool.minglibc]") :], "b"),
    "a name that is not normalized": (swap('name = "b"\n', 'name = "B_"\n'), "B_"),
    "a garbage version": (swap('version = "1.0"', 'version = "one"'), "version"),
    "a garbage marker": (package('marker = "os_name = 1"'), "marker"),
    "a marker that nests": (package(f'marker = "{"(" * 3000}"'), "marker"),
    "a garbage specifier": (package('requires-python = "new"'), "requires-python"),
    "lock-version 2.0": (lambda text: text.replace('lock-version = "1.0"', 'lock-version = "2.0"'), "2.0"),
    "lock-version a number": (lambda text: text.replace('lock-version = "1.0"', "lock-version = 1"), "lock-version"),
    "no lock-version": (lambda text: text.replace('lock-version = "1.0"\n', ""), "lock-version"),
    "b twice": (lambda text: text.replace("[tool.minglibc]", text[text.rindex("[[packages]]\n") : text.index("[tool.minglibc]")] + "[tool.minglibc]"), "b"),
    "b removed": (lambda text: text[: text.rindex("[[packages]]\n")] + text[text.index("[tool.minglibc]") :], "packages"),
    "everything removed": (lambda text: text[: text.index("[[packages]]\n")] + "packages = []\n" + text[text.index("[tool.minglibc]") :], "packages"),
    "no targets": (lambda text: text[: text.index("targets = [")] + "targets = []\n" + text[text.index("packages = 2") :], "has no targets"),
    "a machine that is none": (swap('architecture = "', 'architecture = "vax-'), "vax"),
    "tool is no table": (lambda text: "tool = 1\n" + text[: text.index("[tool.minglibc]")], "not made by minglibc"),
}  # fmt: skip


def resealed(text: str) -> str:
    """The text closed with the digests that a whole one has."""
    body, separator, rest = text.rpartition('inputs = "')
    return seal(body, rest.partition('"')[0]) if separator else text


def check_rejected(project: LockedProject, text: str, message: str) -> None:
    """A sync from this text says why not, and changes nothing."""
    lock = project.folder / "pylock.toml"
    lock.write_text(text, encoding="utf-8", newline="")
    before = snapshot(project.venv)
    ran = project.sync("--frozen")
    assert 1 == ran.code, ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert "s3cret" not in ran.err
    assert before == snapshot(project.venv)
    assert text == lock.read_bytes().decode()


def test_edited_lock_installs_nothing(project: LockedProject) -> None:
    """With updated digests, the problem is reported and the environment is not changed."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    _away_with_b(project)
    for change, (alter, message) in CHANGES.items():
        print(change)
        check_rejected(project, resealed(alter(text)), message)


def _away_with_b(project: LockedProject) -> None:
    """Make b something that has to be installed, out of an empty cache."""
    for path in project.site.glob("b-1.0.dist-info/RECORD"):
        path.unlink()
    for path in Path(os.environ["MINGLIBC_CACHE_DIR"]).rglob("*.whl"):
        path.unlink()


def test_edited_lock_fails_the_digest(project: LockedProject) -> None:
    """Without updated digests, every edit is detected."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    for alter in (*(alter for alter, _ in CHANGES.values()), swap("/b-1.0", "/x/b-1.0")):
        check_rejected(project, alter(text), "pylock.toml")


def test_empty_lock_removes_nothing(project: LockedProject) -> None:
    """An empty, truncated or binary lock is rejected; otherwise `sync` would remove everything."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    for spoiled in (
        "",
        "\n",
        'lock-version = "1.0"\ncreated-by = "minglibc"\npackages = []\n',
        "\x00\x01",
        text[: len(text) // 2],
    ):
        check_rejected(project, spoiled, "pylock.toml")
    for border in range(2):
        start = [position for position in range(len(text)) if text.startswith("[[packages]]", position)][border]
        check_rejected(project, text[:start], "pylock.toml")


def test_merge_conflict(project: LockedProject) -> None:
    """Conflict markers have their own message, with the command that fixes the lock."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    conflicted = text.replace("[tool.minglibc]\n", "<<<<<<< ours\n=======\n>>>>>>> theirs\n[tool.minglibc]\n")
    check_rejected(project, conflicted, "merge-conflict markers")
    check_rejected(project, conflicted, "`minglibc lock`")


def test_byte_order_mark(project: LockedProject) -> None:
    """A lock with a byte order mark is rejected, because no other installer reads it."""
    check_rejected(project, "\ufeff" + (project.folder / "pylock.toml").read_text(encoding="utf-8"), "pylock.toml")


def test_windows_line_ends(project: LockedProject) -> None:
    """A lock that git checked out with CRLF is fresh and can be installed."""
    lock = project.folder / "pylock.toml"
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert 0 == project.command("lock", "--check").code
    assert 0 == project.sync().code
    check_whole(project.venv)


def test_newer_minor_version(project: LockedProject) -> None:
    """lock-version 1.1 and unknown keys are accepted, with a warning about the version."""
    lock = project.folder / "pylock.toml"
    text = lock.read_text(encoding="utf-8").replace('lock-version = "1.0"', 'lock-version = "1.1"\nmystery = 1')
    lock.write_text(resealed(text), encoding="utf-8")
    ran = child.run("sync", "--frozen", "--project", str(project.folder))
    assert 0 == ran.returncode, ran.stderr
    assert "1.1" in ran.stderr
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)


def test_record_with_paths_outside(project: LockedProject, tmp_path: Path) -> None:
    """Files outside the environment that RECORD lists are not removed."""
    outside = tmp_path / "precious"
    outside.write_text("keep me", encoding="utf-8")
    record = project.site / "b-1.0.dist-info" / "RECORD"
    climb = os.path.relpath(outside, project.site)
    record.write_text(
        f"{record.read_text(encoding='utf-8')}{climb},,\n{outside},,\n/etc/hostname,,\n", encoding="utf-8"
    )
    project.lock()
    assert 0 == project.sync().code
    assert {} == installed(project.venv)
    assert "keep me" == outside.read_text(encoding="utf-8")
    assert Path("/etc/hostname").exists()


@pytest.mark.parametrize("character", ["\\n", "\\r", "\\u001b[2J", "\\u202e", "\\u0085", "\\u2028", " "])
def test_control_characters_are_refused(project: LockedProject, character: str) -> None:
    """No URL of a lock starts another line of requirements.txt, and none reaches the terminal."""
    text = (project.folder / "pylock.toml").read_text()
    forged = text.replace("/files/b-1.0", f"/files/{character}--index-url=http://x/b-1.0")
    assert forged != text
    body = forged[: forged.rindex('inputs = "')]
    digest = forged[forged.rindex('inputs = "') :].split('"')[1]
    (project.folder / "pylock.toml").write_text(seal(body, digest))
    for command in ("export", "sync", "tree", "check"):
        ran = project.command(command)
        assert ran.code == 1, (command, ran)
        assert "--index-url" not in ran.out
