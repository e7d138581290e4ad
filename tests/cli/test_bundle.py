"""`minglibc bundle`, and its install.sh on machines that have only Python."""

import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from minglibc.app import bundle as use_case
from minglibc.bundle import contents as contents_module
from minglibc.bundle.contents import SUMS, check_pip
from minglibc.errors import EnvironmentProblem
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion, PythonVersion, Target
from minglibc.model.urls import DEFAULT_INDEX_URL
from tests.support import oldglibc
from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.pips import publish_pip
from tests.support.wheels import build_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER_MACHINE = "aarch64" if platform.machine() != "aarch64" else "x86_64"

# The others take fifteen seconds together.
PYTHONS = [*(pytest.param(python, marks=pytest.mark.slow) for python in ("3.6", "3.7", "3.8", "3.9")), HERE]

Change = Callable[[Path], None]


def publish(index: IndexServer, machine: str = platform.machine()) -> None:
    """An application with a console script, an extra of a dependency, and a wheel above the cap."""
    index.add(build_wheel("app", "1.0", requires=["pure[fast]"], scripts={"greet": "app:main"}, files=APP))
    index.add(build_wheel("pure", "1.0", provides_extra=["fast"], requires=['helper; extra == "fast"']))
    index.add(build_wheel("helper", "1.0"))
    tags = ["manylinux1", "manylinux_2_34"] if machine in {"x86_64", "i686"} else ["manylinux2014", "manylinux_2_34"]
    for tag in tags:
        index.add(build_wheel("native", "2.0", f"py3-none-{tag}_{machine}", files={"native.py": f"tag = {tag!r}\n"}))


APP = {"app.py": "import helper, native, pure\ndef main():\n    print('greetings from', native.tag)\n"}


def interpreter(python: str) -> Path:
    """The CPython *python* of this machine; skips the test without one."""
    if python == HERE:
        return Path(sys.executable)
    try:
        return oldglibc.interpreter(python)
    except oldglibc.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project for this Python and machine."""
    publish(index)
    publish_pip(index, Path(sys.executable))
    folder = write_project(
        tmp_path / "project", index, ["app", "native"], python=[HERE], architectures=[platform.machine()]
    )
    lock(folder)
    return folder


def bundle(folder: Path, output: Path, *options: str) -> Ran:
    """Bundle the project in *folder*, successfully."""
    ran = minglibc("bundle", "--project", str(folder), "--output", str(output), *options)
    assert not ran.code, ran.err
    return ran


def install(
    made: Path, venv: Path, python: str = sys.executable, *, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run install.sh without a network, where pip is configured to install to another folder."""
    alone = ["unshare", "-n"] if has_unshare() else []
    configuration = made.parent / "pip.conf"
    configuration.write_text(f"[install]\nprefix = {made.parent}/elsewhere\n", encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "PYTHON": python, "http_proxy": "http://127.0.0.1:9", "LANG": "C"}
    environment["PIP_CONFIG_FILE"] = str(configuration)
    return subprocess.run(
        [*alone, "sh", made / "install.sh", *options, venv],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def has_unshare() -> bool:
    """Whether this process may start another one without a network."""
    unshare = shutil.which("unshare")
    return (
        bool(unshare) and not subprocess.run([str(unshare), "-n", "true"], capture_output=True, check=False).returncode
    )


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_install_with_python_alone(
    tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    """With only Python and without a network, install.sh creates an environment of exactly the locked wheels."""
    executable = interpreter(python)
    publish(index)
    publish_pip(index, executable)
    if python == "3.6":
        # Its pip supports only manylinux1, which is enough here; real bundles use 21.3.1 from the index.
        monkeypatch.setattr(use_case, "check_pip", lambda filename, target: filename)
    folder = write_project(
        tmp_path / "project", index, ["app", "native"], python=[python], architectures=[platform.machine()]
    )
    lock(folder)
    bundle(folder, tmp_path / "a b" / "bundle")
    venv = tmp_path / "the ü venv"
    ran = install(tmp_path / "a b" / "bundle", venv, str(executable))
    assert not ran.returncode, ran.stderr
    assert f"Installed 4 packages: {venv}/bin/python\n" == ran.stdout
    greeting = subprocess.run([venv / "bin" / "greet"], capture_output=True, text=True, check=False)
    assert greeting.stdout.startswith("greetings from manylinux"), greeting.stderr
    assert "2_34" not in greeting.stdout
    (site,) = venv.glob("lib/python*/site-packages")
    assert ["app", "helper", "native", "pure"] == sorted(path.name.split("-")[0] for path in site.glob("*.dist-info"))


def test_archives_are_reproducible(project: Path, tmp_path: Path) -> None:
    """Two archives of one lock are identical; they contain the files of the folder, belong to root and have one date."""
    for name in ("one", "two"):
        bundle(project, tmp_path / name / "x.tar.gz")
    assert (tmp_path / "one" / "x.tar.gz").read_bytes() == (tmp_path / "two" / "x.tar.gz").read_bytes()
    bundle(project, tmp_path / "folder")
    with tarfile.open(tmp_path / "one" / "x.tar.gz") as archive:
        entries = archive.getmembers()
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert {(0, 0, "root", "root")} == {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries}
    assert 1 == len({entry.mtime for entry in entries})
    (top,) = (tmp_path / "unpacked").iterdir()
    assert contents(tmp_path / "folder") == contents(top)
    assert os.access(top / "install.sh", os.X_OK)


def test_archive_is_valid_for_gzip_and_sha256sum(project: Path, tmp_path: Path) -> None:
    """gzip and sha256sum accept the archive and SHA256SUMS; the digest of the archive is printed."""
    archive = tmp_path / "x.tar.gz"
    ran = bundle(project, archive)
    assert f"sha256 {hashlib.sha256(archive.read_bytes()).hexdigest()}" in ran.err
    assert f"{archive}\n" == ran.out
    assert not subprocess.run(["gzip", "-t", archive], check=False).returncode
    bundle(project, tmp_path / "folder")
    checked = subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=tmp_path / "folder", check=False)
    assert not checked.returncode


def contents(folder: Path) -> dict[str, bytes]:
    """The files below *folder*."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _missing(made: Path) -> None:
    next(made.glob("wheels/helper-*")).unlink()


def _added(made: Path) -> None:
    (made / "wheels" / "helper-9.0-py3-none-any.whl").write_bytes(b"")


def _changed(made: Path) -> None:
    path = next(made.glob("wheels/helper-*"))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def _linked(made: Path) -> None:
    path = next(made.glob("wheels/helper-*"))
    path.rename(made.parent / path.name)
    path.symlink_to(made.parent / path.name)


def _lock_edited(made: Path) -> None:
    with (made / "pylock.toml").open("a") as file:
        file.write("#")


def _emptied(made: Path) -> None:
    (made / SUMS).write_text("")


def _nested(made: Path) -> None:
    (made / "wheels" / "more").mkdir()
    (made / "wheels" / "more" / "sitecustomize.py").write_text("")


CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (_missing, "missing: wheels/helper-1.0-py3-none-any.whl"),
    "added": (_added, "added: wheels/helper-9.0-py3-none-any.whl"),
    "changed": (_changed, "changed: wheels/helper-1.0-py3-none-any.whl"),
    "linked": (_linked, "not a regular file: wheels/helper-1.0-py3-none-any.whl"),
    "lock edited": (_lock_edited, "changed: pylock.toml"),
    "no sums": (_emptied, "SHA256SUMS is empty"),
    "nested": (_nested, "added: wheels/more/sitecustomize.py"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_bundle_is_an_error(project: Path, tmp_path: Path, kind: str) -> None:
    """A missing, added, changed or linked file is named, and no environment is created."""
    made = tmp_path / "bundle"
    bundle(project, made)
    change, expected = CHANGES[kind]
    change(made)
    ran = install(made, tmp_path / "venv")
    assert 1 == ran.returncode
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((HERE, OTHER_MACHINE, "2.17"), f"the bundle is for {OTHER_MACHINE}"),
        ((HERE, platform.machine(), "2.99"), "the bundle is for 2.99"),
        (("3.8", platform.machine(), "2.17"), f"is Python {platform.python_version()}, the bundle is for 3.8"),
    ],
    ids=["architecture", "glibc", "python"],
)
def test_other_targets_are_errors(
    tmp_path: Path, index: IndexServer, target: tuple[str, str, str], expected: str
) -> None:
    """An architecture, Python or glibc other than the target's is named, and nothing is written."""
    python, machine, glibc = target
    publish(index, machine)
    index.add(build_wheel("pip", "21.3.1"))
    folder = write_project(
        tmp_path / "project", index, ["native"], python=[python], architectures=[machine], glibc=glibc
    )
    lock(folder)
    bundle(folder, tmp_path / "bundle")
    ran = install(tmp_path / "bundle", tmp_path / "venv")
    assert 1 == ran.returncode
    assert expected in ran.stderr
    assert "hint: " in ran.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("import os; os.confstr = lambda name: None", "has no glibc, which the bundle is for"),
        ("import os; os.confstr = lambda name: 'glibc 2.12'", "has glibc 2.12, the bundle is for 2.17"),
        ("import sys; sys.implementation.name = 'pypy'", "is pypy, the bundle is for CPython"),
        ("import sys; sys.modules['venv'] = None", "is incomplete"),
    ],
    ids=["musl", "older", "pypy", "no venv"],
)
def test_other_interpreters_and_c_libraries_are_errors(
    project: Path, tmp_path: Path, first: str, expected: str
) -> None:
    """An older glibc or none, another implementation, or an incomplete Python is an error."""
    bundle(project, tmp_path / "bundle")
    fake = tmp_path / "python"
    # The checks are read from stdin; a line before them simulates another machine.
    fake.write_text(f'#!/bin/sh\ncase "$*" in\n*" - "*) (echo "{first}"; cat) | {sys.executable} "$@" ;;\nesac\n')
    fake.chmod(0o755)
    ran = install(tmp_path / "bundle", tmp_path / "venv", str(fake))
    assert 1 == ran.returncode
    assert expected in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_existing_files_are_kept(project: Path, tmp_path: Path) -> None:
    """install.sh writes only to an empty folder, and bundle replaces only a bundle."""
    made = tmp_path / "bundle"
    bundle(project, made)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "precious").touch()
    ran = install(made, tmp_path / "venv")
    assert 1 == ran.returncode
    assert "already exists" in ran.stderr
    before = contents(made)
    bundle(project, made)
    assert before == contents(made)
    refused = minglibc("bundle", "--project", str(project), "--output", str(tmp_path / "venv"))
    assert 1 == refused.code
    assert "is not a bundle" in refused.err
    assert ["precious"] == os.listdir(tmp_path / "venv")


def test_failed_installation_is_removed(project: Path, tmp_path: Path) -> None:
    """If pip fails, the incomplete environment is removed."""
    made = tmp_path / "bundle"
    bundle(project, made)
    fake = tmp_path / "python"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in\n*venv*--without-pip*) mkdir -p "$5"; exit 7 ;;\nesac\nexec {sys.executable} "$@"\n'
    )
    fake.chmod(0o755)
    ran = install(made, tmp_path / "venv", str(fake))
    assert 7 == ran.returncode
    assert not (tmp_path / "venv").exists()


def test_bundle_without_packages(tmp_path: Path, index: IndexServer) -> None:
    """A lock without packages installs an empty environment."""
    publish_pip(index, Path(sys.executable))
    folder = write_project(tmp_path / "project", index, python=[HERE], architectures=[platform.machine()])
    lock(folder)
    bundle(folder, tmp_path / "bundle")
    ran = install(tmp_path / "bundle", tmp_path / "venv")
    assert f"Installed 0 packages: {tmp_path}/venv/bin/python\n" == ran.stdout
    assert (tmp_path / "venv" / "bin" / "python").exists()


def test_missing_interpreter_is_an_error(project: Path, tmp_path: Path) -> None:
    """PYTHON may name a program that does not exist."""
    bundle(project, tmp_path / "bundle")
    ran = install(tmp_path / "bundle", tmp_path / "venv", "/nowhere/python")
    assert (1, "error: /nowhere/python does not start\n") == (ran.returncode, ran.stderr)


def test_interpreter_is_searched_on_path(project: Path, tmp_path: Path) -> None:
    """Without PYTHON the target's Python is searched on PATH; if it is missing, the error names it."""
    made = tmp_path / "bundle"
    bundle(project, made)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    stub = tools / f"python{HERE}"
    stub.write_text("#!/bin/sh\nexit 127\n")
    stub.chmod(0o755)
    ran = subprocess.run(
        ["sh", made / "install.sh", tmp_path / "venv"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == ran.returncode
    assert f"there is no python{HERE} on PATH" in ran.stderr


@pytest.mark.parametrize("arguments", [[], [""], ["a", "b"], ["--help"]], ids=["none", "empty", "two", "option"])
def test_install_prints_its_usage(project: Path, tmp_path: Path, arguments: list[str]) -> None:
    """Anything other than one directory prints the usage."""
    bundle(project, tmp_path / "bundle")
    ran = subprocess.run(
        ["sh", tmp_path / "bundle" / "install.sh", *arguments], capture_output=True, text=True, check=False
    )
    assert (2, "usage: sh install.sh [--allowed-signers FILE] DIRECTORY\n") == (ran.returncode, ran.stderr)


def test_pip_is_resolved_for_the_target(tmp_path: Path, index: IndexServer) -> None:
    """The bundle has the newest pip that supports the target's Python."""
    publish(index)
    index.add(build_wheel("pip", "21.3.1", requires_python=">=3.6"))
    index.add(build_wheel("pip", "22.0", requires_python=">=3.7"))
    folder = write_project(tmp_path / "project", index, ["native"], python=["3.6"], architectures=[platform.machine()])
    lock(folder)
    bundle(folder, tmp_path / "bundle")
    wheels = sorted(path.name for path in (tmp_path / "bundle" / "wheels").iterdir())
    assert "pip-21.3.1-py3-none-any.whl" == wheels[1]
    assert 2 == len(wheels)


def test_locked_pip_is_used(tmp_path: Path, index: IndexServer) -> None:
    """If the project requires pip, the bundle has the locked one, whatever the index offers."""
    index.max_age = 0  # no page is taken from the cache
    index.add(build_wheel("pip", "24.0"))
    folder = write_project(tmp_path / "project", index, ["pip"], python=[HERE], architectures=[platform.machine()])
    lock(folder)
    index.add(build_wheel("pip", "26.0"))
    bundle(folder, tmp_path / "bundle")
    assert ["pip-24.0-py3-none-any.whl"] == os.listdir(tmp_path / "bundle" / "wheels")


def test_missing_pip_is_an_error(tmp_path: Path, index: IndexServer) -> None:
    """No pip for the target, or one that is too old for its tags, is an error with a hint."""
    publish(index)
    index.add(build_wheel("pip", "19.0"))
    folder = write_project(tmp_path / "project", index, ["native"], python=[HERE], architectures=[platform.machine()])
    lock(folder)
    refused = minglibc("bundle", "--project", str(folder), "--output", str(tmp_path / "bundle"))
    assert 1 == refused.code
    assert "too old" in refused.err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("cap", "too_old", "enough"), [(GlibcVersion(2, 17), "20.2.4", "20.3b1"), (MuslVersion(1, 1), "21.1.3", "21.2")]
)
def test_pip_must_support_the_tags(cap: Cap, too_old: str, enough: str) -> None:
    """A pip older than the tags of the target's C library is an error; the first that supports them is accepted."""
    target = Target(PythonVersion(9), "x86_64", cap)
    with pytest.raises(EnvironmentProblem, match="too old"):
        check_pip(f"pip-{too_old}-py3-none-any.whl", target)
    assert f"pip-{enough}-py3-none-any.whl" == check_pip(f"pip-{enough}-py3-none-any.whl", target)


def test_several_targets_need_a_choice(tmp_path: Path, index: IndexServer) -> None:
    """A bundle is for one target: with several, --target chooses, and the hint lists them."""
    publish(index)
    index.add(build_wheel("pip", "24.0"))
    folder = write_project(
        tmp_path / "project", index, ["app"], python=["3.9", HERE], architectures=[platform.machine()]
    )
    lock(folder)
    refused = minglibc("bundle", "--project", str(folder), "--output", str(tmp_path / "bundle"))
    assert 2 == refused.code
    name = f"cp39-{platform.machine()}-glibc2.17"
    assert name in refused.err
    bundle(folder, tmp_path / "bundle", "--target", name)
    assert name in (tmp_path / "bundle" / "install.sh").read_text()


def test_script_is_posix_sh(project: Path, tmp_path: Path) -> None:
    """All installed shells parse install.sh, and it is executable."""
    bundle(project, tmp_path / "bundle")
    script = tmp_path / "bundle" / "install.sh"
    for shell in filter(shutil.which, ["sh", "dash", "bash", "busybox"]):
        starter = [shell, "sh"] if shell == "busybox" else [shell]
        ran = subprocess.run([*starter, "-n", script], capture_output=True, text=True, check=False)
        assert (0, "") == (ran.returncode, ran.stderr)
    assert stat.S_IMODE(script.stat().st_mode) & 0o111
    assert "@" not in script.read_text().replace('"$@"', "")


@pytest.mark.online
def test_python_3_6_with_pip_from_the_public_index(tmp_path: Path, index: IndexServer) -> None:
    """The bundle for Python 3.6 has the last pip for it, 21.3.1, and installs with it."""
    executable = interpreter("3.6")
    publish(index)
    folder = write_project(
        tmp_path / "project", index, ["app", "native"], python=["3.6"], architectures=[platform.machine()]
    )
    lock(folder)
    bundle(folder, tmp_path / "bundle", "--index-url", os.environ.get("MINGLIBC_INDEX_URL") or DEFAULT_INDEX_URL)
    assert (tmp_path / "bundle" / "wheels" / "pip-21.3.1-py3-none-any.whl").exists()
    ran = install(tmp_path / "bundle", tmp_path / "venv", str(executable))
    assert not ran.returncode, ran.stderr


def test_the_script_passes_shellcheck(project: Path, tmp_path: Path) -> None:
    """shellcheck accepts the script as it is in the package, and as it is in a bundle."""
    shellcheck = shutil.which(
        "shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if not shellcheck:
        pytest.skip("shellcheck is not installed")
    bundle(project, tmp_path / "bundle")
    for script in (*Path(contents_module.__file__).parent.glob("*.sh"), tmp_path / "bundle" / "install.sh"):
        ran = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
        assert (0, "") == (ran.returncode, ran.stdout)


def _key(folder: Path, name: str) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return folder / name


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="OpenSSH's client is not installed")
def test_signed_bundle(project: Path, tmp_path: Path) -> None:
    """install.sh accepts the signature of an allowed signer, and no other, none, or one of other contents."""
    key, other = _key(tmp_path, "release"), _key(tmp_path, "other")
    signers = tmp_path / "signers"
    signers.write_text(f"release@example.invalid {key.with_suffix('.pub').read_text()}")
    made = tmp_path / "bundle"
    options = ("--allowed-signers", str(signers))

    def refusal() -> str:
        ran = install(made, tmp_path / "venv", options=options)
        assert (1, False) == (ran.returncode, (tmp_path / "venv").exists())
        return ran.stderr.splitlines()[-1]

    bundle(project, made)
    assert "error: the bundle is not signed" == refusal()
    bundle(project, made, "--sign", str(other))
    assert f"error: the bundle has no valid signature by a signer in {signers}" == refusal()
    bundle(project, made, "--sign", str(key))
    _lock_edited(made)
    assert "changed: pylock.toml" in install(made, tmp_path / "venv", options=options).stderr
    sums = (made / SUMS).read_text()
    digest = hashlib.sha256((made / "pylock.toml").read_bytes()).hexdigest()
    (made / SUMS).write_text(re.sub(r"[0-9a-f]{64}(?=  pylock.toml)", digest, sums))
    assert f"error: the bundle has no valid signature by a signer in {signers}" == refusal()
    bundle(project, made, "--sign", str(key))
    ran = install(made, tmp_path / "venv", options=options)
    assert 0 == ran.returncode, ran.stderr
    assert 0 == install(made, tmp_path / "unchecked").returncode


def test_signing_without_a_key(project: Path, tmp_path: Path) -> None:
    """A key that does not exist, or that is none, is an error, and nothing is written."""
    (tmp_path / "key").write_text("no key")
    for key, message in ((tmp_path / "missing", "there is no key"), (tmp_path / "key", "can't be signed with")):
        ran = minglibc("bundle", "--project", str(project), "--output", str(tmp_path / "bundle"), "--sign", str(key))
        assert ran.code
        assert message in ran.err
        assert not (tmp_path / "bundle").exists()
