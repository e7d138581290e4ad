"""Machines with musl: recognising them, installing on them, and errors for other machines."""

import json
import os
import runpy
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from minglibc.audit.rules import Kind, audit, read_binary
from minglibc.errors import LockError
from minglibc.install import interpreter as interpreters
from minglibc.install import proof
from minglibc.lock.document import FORMAT
from minglibc.lock.reader import loads
from minglibc.model.targets import GlibcVersion, MuslVersion
from tests.support.commands import check_cap, minglibc
from tests.support.elves import elf
from tests.support.environments import LockedProject, installed, site_packages
from tests.support.index import IndexServer
from tests.support.musl import VERSION, Musl, musl
from tests.support.oldglibc import or_skip
from tests.support.wheels import build_wheel

INSPECT = Path(interpreters.__file__).with_name("_probe.py")
BOTH = 'musl = "1.2"\n'
ON_GLIBC, ON_MUSL = f"cp3{sys.version_info.minor}-x86_64-glibc2.17", f"cp3{sys.version_info.minor}-x86_64-musl1.2"
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the wheels here are for x86_64")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project of a, which has a wheel for each C library, locked for both."""
    for libc, needs in (("manylinux_2_17", elf()), ("musllinux_1_2", elf(needs={}, needed=["libc.musl-x86_64.so.1"]))):
        files: dict[str, str | bytes] = {"a.py": f"libc = {libc!r}\n", "a_native.abi3.so": needs}
        index.add(build_wheel("a", "1.0", f"py3-none-{libc}_x86_64", files=files))
    index.add(build_wheel("pip", "25.0"))
    made = LockedProject(tmp_path / "project", index)
    made.lock("a", more=BOTH)
    return made


def loader(folder: Path, output: str) -> Path:
    """A program that prints *output* as musl's loader does, and fails as it does."""
    program = folder / "ld-musl-x86_64.so.1"
    program.write_text(f"#!/bin/sh\nprintf '{output}' >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def on_musl(project: LockedProject, loader: Path, version: str = "1.2.5") -> Path:
    """An environment whose interpreter reports a machine with musl."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.venv], check=True)
    facts = json.loads(subprocess.check_output([project.venv / "bin" / "python", "-I", "-S", INSPECT]))
    facts.update(libc=f"musl {version}", elf={**facts["elf"], "loader": str(loader)})
    real = (project.venv / "bin" / "python").resolve()
    program = project.venv / "bin" / "python"
    program.unlink()
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *_probe.py) cat <<\'END\'\n{json.dumps(facts)}\nEND\n;;\n*) exec {real} "$@";; esac\n'
    )
    program.chmod(0o755)
    return project.venv


def tags(prefix: Path) -> str:
    """The tags of the installed wheel of a."""
    (path,) = site_packages(prefix).glob("a-*.dist-info/WHEEL")
    return path.read_text(encoding="utf-8")


# ---- recognition


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("musl libc (x86_64)\\nVersion 1.2.5\\nDynamic Program Loader\\n", "musl 1.2.5"),
        ("musl libc (x86_64)\\nVersion 1.2.5_git20240705\\n", "musl 1.2.5_git20240705"),
        ("musl libc (x86_64)\\n", ""),
        ("something else\\nVersion 1.2.5\\n", ""),
        ("", ""),
    ],
)
def test_version_is_read_from_the_loader(
    tmp_path: Path, output: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interpreter's file names its loader, and musl's loader prints its version (PEP 656)."""
    names = runpy.run_path(str(INSPECT))
    capsys.readouterr()
    program = tmp_path / "python"
    program.write_bytes(elf(executable=True, needs={}, interpreter=str(loader(tmp_path, output))))
    assert expected == names["libc"](names["elf_header"](str(program))["loader"])


def test_missing_loader_has_no_version(capsys: pytest.CaptureFixture[str]) -> None:
    """If a loader of musl does not start, the version is unknown."""
    names = runpy.run_path(str(INSPECT))
    capsys.readouterr()
    assert "" == names["libc"]("/nowhere/ld-musl-x86_64.so.1")


@pytest.mark.parametrize(("version", "expected"), [("1.2.5_git1", (1, 2)), ("1.1.24", (1, 1)), ("2.0", None)])
def test_two_numbers_of_the_version_are_used(version: str, expected: tuple[int, int] | None) -> None:
    """musl 1.2.5 is 1.2 in tags; other C libraries are unknown."""
    assert expected == interpreters._libc(f"musl {version}")


# ---- installation


def test_wheel_for_the_c_library_is_installed(project: LockedProject, tmp_path: Path) -> None:
    """`sync` installs the wheel for the machine's C library, and `run` has nothing to do."""
    prefix = on_musl(project, loader(tmp_path, ""))
    ran = project.sync("--python", str(prefix))
    assert 0 == ran.code, ran.err
    assert "musllinux_1_2" in tags(prefix)
    assert "Nothing to do" in project.sync("--python", str(prefix)).err
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    assert 0 == project.sync("--python", str(other)).code
    assert "manylinux_2_17" in tags(other)


@pytest.mark.parametrize(
    ("version", "warned"), [("1.2.3", True), ("1.2.4", False), ("1.2.10", False), ("1.2.5_git20240705", False)]
)
def test_sync_warns_of_packed_relocations_on_old_musl(
    project: LockedProject, tmp_path: Path, version: str, *, warned: bool
) -> None:
    """musl 1.2.3 and 1.2.4 have one tag, but only the latter supports packed relocations: sync warns."""
    packed = elf(needs={}, needed=["libc.musl-x86_64.so.1"], relr=True)
    project.index.add(build_wheel("b", "1.0", "py3-none-musllinux_1_2_x86_64", files={"b.so": packed}))
    project.index.add(build_wheel("b", "1.0", "py3-none-manylinux_2_17_x86_64"))
    project.lock("a", "b", more=BOTH)
    ran = project.sync("--python", str(on_musl(project, loader(tmp_path, ""), version)))
    assert 0 == ran.code, ran.err
    assert warned == (f"warning: this machine has musl {version}, which can't load files of b 1.0:" in ran.err)


def test_files_for_glibc_are_replaced_on_musl(project: LockedProject, tmp_path: Path) -> None:
    """A file that is linked with glibc, whatever its wheel's tag, is reinstalled on a machine with musl."""
    prefix = on_musl(project, loader(tmp_path, ""))
    project.sync("--python", str(prefix))
    (info,) = site_packages(prefix).glob("a-*.dist-info")
    (info / "direct_url.json").unlink(missing_ok=True)
    for path in info.iterdir():
        if path.name.startswith("minglibc") or path.name == "INSTALLER":
            path.unlink()
    record = info / "RECORD"
    kept = [
        line
        for line in record.read_text().splitlines()
        if "minglibc" not in line and "INSTALLER" not in line and "native" not in line
    ]
    (site_packages(prefix) / "a_native.abi3.so").write_bytes(elf())
    record.write_text("\n".join([*kept, "a_native.abi3.so,,"]) + "\n")
    ran = project.sync("--python", str(prefix))
    assert "/a_native.abi3.so is linked with glibc)" in ran.err
    assert "libc.musl" in (site_packages(prefix) / "a_native.abi3.so").read_bytes().decode("latin-1")


def test_older_musl_is_an_error(project: LockedProject, tmp_path: Path) -> None:
    """On a machine older than the lock, the error says what to configure, and nothing is installed."""
    prefix = on_musl(project, loader(tmp_path, ""), "1.1.24")
    ran = project.sync("--python", str(prefix))
    assert 1 == ran.code
    assert "this machine has musl 1.1, the lock is for musl 1.2" in ran.err
    assert 'set musl = "1.1" in [tool.minglibc]' in ran.err
    assert {} == installed(prefix)


def test_proof_is_for_one_musl(tmp_path: Path) -> None:
    """The proof is valid as long as musl's loader is unchanged."""
    program = loader(tmp_path, "")
    request = proof.Request("1", "2", "3")
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / ".minglibc").mkdir()
    (tmp_path / "site").mkdir()
    proof.write(str(tmp_path), request, cap="1.2", folders=["site"], musl_loader=str(program))
    assert proof.matches(str(tmp_path), request)
    program.write_text("an upgrade\n", encoding="utf-8")
    assert not proof.matches(str(tmp_path), request)
    program.unlink()
    assert not proof.matches(str(tmp_path), request)


# ---- the lock


def test_only_locks_with_musl_have_the_newer_format(project: LockedProject) -> None:
    """Older versions reject a lock with musl, and still read a lock without it."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    row = f'{{ python = "3.{sys.version_info.minor}", architecture = "x86_64", musl = "1.2" }}'
    assert 1 == text.count(row)
    assert f"lock-format = {FORMAT}\n" in text
    assert [GlibcVersion(2, 17), MuslVersion(1, 2)] == [target.cap for target in loads(text).targets]
    project.lock("a")
    assert "lock-format = 1\n" in (project.folder / "pylock.toml").read_text(encoding="utf-8")


def test_lock_with_a_wheel_above_the_musl_cap_is_invalid(project: LockedProject) -> None:
    """A lock with a valid seal but a wheel for a newer musl, or for another C library, is rejected."""
    text = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    check_cap(loads(text))
    with pytest.raises(
        LockError,
        match=r"a-1\.0-py3-none-musllinux_1_3_x86_64\.whl needs musl 1\.3; the cap is glibc 2\.17 and musl 1\.2",
    ):
        loads(text.replace("musllinux_1_2", "musllinux_1_3"))
    project.lock("a")
    alone = (project.folder / "pylock.toml").read_text(encoding="utf-8")
    with pytest.raises(LockError, match=r"needs musl 1\.1; the cap is glibc 2\.17"):
        loads(alone.replace("manylinux_2_17", "musllinux_1_1"))


def test_adding_musl_keeps_locked_releases(project: LockedProject) -> None:
    """A new target with musl prefers the releases that are locked for its Python, and `lock --check` reports it."""
    project.lock("a")
    for libc in ("manylinux_2_17", "musllinux_1_2"):
        project.index.add(build_wheel("a", "2.0", f"py3-none-{libc}_x86_64"))
    project.write(["a"], more=BOTH)
    checked = project.command("lock", "--check")
    assert "with musl 1.2 is not locked" in checked.err
    assert 0 == project.command("lock").code
    lock = loads((project.folder / "pylock.toml").read_text(encoding="utf-8"))
    assert [{"a": "1.0"}] * 2 == [lock.versions(target) for target in lock.targets]
    project.write(["a"])
    assert "with musl 1.2 is locked and no longer configured" in project.command("lock", "--check").err


def test_lock_with_the_musl_option(project: LockedProject) -> None:
    """`lock --musl` adds musl for one run, and the lock is fresh with the same option."""
    project.lock("a")
    assert 0 == project.command("lock", "--musl", "1.2").code
    assert 0 == project.command("lock", "--musl", "1.2", "--check").code
    assert 1 == project.command("lock", "--check").code


def test_lock_with_the_musl_variable(project: LockedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINGLIBC_MUSL is used by the check for an unchanged lock, and by the installation."""
    project.lock("a")
    monkeypatch.setenv("MINGLIBC_MUSL", "1.2")
    assert 1 == project.command("lock", "--check").code
    assert 0 == project.command("lock").code
    assert 0 == project.sync("--dry-run").code
    monkeypatch.delenv("MINGLIBC_MUSL")
    assert "is stale" in project.sync("--dry-run").err


def test_lock_of_requirements_stores_musl(project: LockedProject, tmp_path: Path) -> None:
    """A requirements file needs no glibc if it has musl, and the lock stores the options."""
    (tmp_path / "in.txt").write_text("a\n", encoding="utf-8")
    options = ["lock", "-r", str(tmp_path / "in.txt"), "--index-url", project.index.url]
    refused = minglibc(*options, "--python", "3.11")
    assert 2 == refused.code
    assert "there is no cap for in.txt" in refused.err
    ran = minglibc(*options, "--python", "3.11", "--musl", "1.2")
    assert 0 == ran.code, ran.err
    lock = loads((tmp_path / "pylock.toml").read_text(encoding="utf-8"))
    assert [MuslVersion(1, 2)] == [target.cap for target in lock.targets]
    assert ("--musl=1.2", "--python=3.11") == lock.source.options
    assert "up to date" in minglibc(*options).err


# ---- explanations


def test_held_back_by_musl(project: LockedProject) -> None:
    """`lock`, `outdated`, `why` and `report` name musl as the reason, and JSON names the cap by its library."""
    for version, glibc, libc in (("2.0", "2_17", "1_3"), ("3.0", "2_28", "1_2"), ("4.0", "2_17", "")):
        project.index.add(build_wheel("a", version, f"py3-none-manylinux_{glibc}_x86_64"))
        if libc:
            project.index.add(build_wheel("a", version, f"py3-none-musllinux_{libc}_x86_64"))
    ran = project.command("lock", "--upgrade")
    assert "held back by the cap: a 1.0 (3.0 needs glibc 2.28)" in ran.err
    output = project.command("why", "a").out
    assert "a-1.0-py3-none-musllinux_1_2_x86_64.whl, needs musl 1.2" in output
    assert "a-1.0-py3-none-manylinux_2_17_x86_64.whl, needs glibc 2.17" in output
    (glibc, on_musl) = output.split("\n\n")
    python = f"CPython 3.{sys.version_info.minor}, x86_64"
    assert f"4.0  kept the same as on {python}, musl 1.2 (has no wheel for musl)" in glibc
    assert "3.0  needs glibc 2.28" in glibc
    assert f"2.0  kept the same as on {python}, musl 1.2 (needs musl 1.3)" in glibc
    assert "4.0  has no wheel for musl" in on_musl
    assert f"3.0  kept the same as on {python}, glibc 2.17 (needs glibc 2.28)" in on_musl
    assert "2.0  needs musl 1.3" in on_musl
    rows = json.loads(project.command("outdated", "--json").out)
    assert [{"musl": "1.2"}, {"glibc": "2.17"}] == [
        {key: value for key, value in target.items() if key in {"glibc", "musl"}}
        for row in rows
        for target in row["targets"]
    ]


def test_caps_varies_glibc_only(project: LockedProject) -> None:
    """`caps` varies glibc and keeps the target with musl; without glibc there is no curve, also in `report`."""
    project.index.add(build_wheel("a", "2.0", "py3-none-manylinux_2_28_x86_64"))
    project.index.add(build_wheel("a", "2.0", "py3-none-musllinux_1_2_x86_64"))
    project.index.add(build_wheel("a", "3.0", "py3-none-manylinux_2_28_x86_64"))
    steps = json.loads(project.command("caps", "--json").out)["steps"]
    assert [("2.17", ["1.0"]), ("2.28", ["2.0"])] == [
        (step["lowest"], step["packages"]["a"]) for step in steps if step["packages"]
    ]
    text = (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    (project.folder / "pyproject.toml").write_text(text.replace('glibc = "2.17"\n', ""), encoding="utf-8")
    assert 0 == project.command("lock").code
    refused = project.command("caps")
    assert 2 == refused.code
    assert "no target has glibc" in refused.err
    page = project.command("report", "-o", "-")
    assert 0 == page.code, page.err
    assert "on musl 1.2" in page.out
    assert "There is no glibc cap to compare." in page.out


def test_check_uses_the_c_library_of_the_tag(project: LockedProject, tmp_path: Path) -> None:
    """Each wheel is checked against the caps of its tag; one that is linked with the other library is a finding."""
    packed = elf(needs={}, needed=["libc.musl-x86_64.so.1"], relr=True)
    project.index.add(build_wheel("b", "1.0", "py3-none-musllinux_1_2_x86_64", files={"b.so": packed}))
    project.index.add(build_wheel("b", "1.0", "py3-none-manylinux_2_17_x86_64", files={"b.so": elf()}))
    project.lock("a", "b", more=BOTH)
    checked = project.command("check")
    assert 0 == checked.code, checked.out
    assert "Checked 4 binaries in 4 wheels against glibc 2.17 and musl 1.2: 0 findings" in checked.err
    assert "note: musl before 1.2.4 can't load files of b 1.0 (DT_RELR)" in checked.err
    understated = build_wheel("c", "1.0", "py3-none-musllinux_1_2_x86_64", files={"c.so": elf()})
    (tmp_path / understated.filename).write_bytes(understated.content)
    result = project.command("check", str(tmp_path / understated.filename))
    assert 1 == result.code
    assert ["c 1.0: c.so is linked with glibc (libc.so.6), which machines with musl lack"] == result.out.splitlines()
    result = minglibc("check", "--musl", "1.1", "--json", str(tmp_path / understated.filename))
    assert "1.1" == json.loads(result.out)["musl-caps"]["x86_64"]
    assert ["linked-with-glibc"] == [finding["kind"] for finding in json.loads(result.out)["findings"]]


def test_verify_skips_an_understated_tag(project: LockedProject) -> None:
    """With `verify`, a release whose musllinux wheel is linked with glibc is skipped for both targets."""
    for libc in ("manylinux_2_17", "musllinux_1_2"):
        project.index.add(build_wheel("a", "2.0", f"py3-none-{libc}_x86_64", files={"a_native.abi3.so": elf()}))
    project.write(["a"], more=f"{BOTH}verify = true\n")
    ran = project.command("lock", "--upgrade")
    assert "a-2.0-py3-none-musllinux_1_2_x86_64.whl: its tag understates what it needs" in ran.err
    lock = loads((project.folder / "pylock.toml").read_text(encoding="utf-8"))
    assert [{"a": "1.0"}] * 2 == [lock.versions(target) for target in lock.targets]


def test_export_tree_and_bundle(project: LockedProject) -> None:
    """`export` needs a choice between targets that no marker distinguishes, `tree` shows one, `bundle` contains one."""
    refused = project.command("export")
    assert 2 == refused.code
    assert f"{ON_GLIBC}, {ON_MUSL}" in refused.err
    assert "musllinux_1_2" in project.command("export", "--target", ON_MUSL).out
    assert "a==1.0\n" == project.command("tree", "--target", ON_MUSL).out
    output = project.folder / "bundle"
    made = project.command("bundle", "--target", ON_MUSL, "-o", str(output))
    assert 0 == made.code, made.err
    assert ["a-1.0-py3-none-musllinux_1_2_x86_64.whl"] == [path.name for path in (output / "wheels").glob("a-*")]
    refused_here = subprocess.run(
        ["sh", str(output / "install.sh"), str(project.folder / "there")],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == refused_here.returncode
    assert "this machine has glibc, the bundle is for musl" in refused_here.stderr
    assert not (project.folder / "there").exists()


def test_init_with_musl(tmp_path: Path) -> None:
    """`init --musl` writes musl; uv's settings for both C libraries are converted."""
    ran = minglibc("init", "--project", str(tmp_path), "--musl", "1.2", "--python", "3.11")
    assert 0 == ran.code, ran.err
    assert 'musl = "1.2"' in ran.out
    assert "glibc" not in ran.out.replace("minglibc", "")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nrequires-python = ">=3.9"\n'
        '[tool.uv]\nminimum-libc-version = { glibc = "2.17", musl = "1.1" }\n'
    )
    ran = minglibc("init", "--project", str(tmp_path))
    assert 'glibc = "2.17"\nmusl = "1.1"' in ran.out, ran.err


# ---- a real musl


@pytest.fixture(scope="module")
def real() -> Musl:
    """musl of Debian 11."""
    return or_skip(musl)


@pytest.mark.debian
@pytest.mark.online
def test_real_loader_and_interpreter(real: Musl, project: LockedProject, tmp_path: Path) -> None:
    """An interpreter with musl's own loader is recognised as packaging does, and gets the wheel for musl."""
    python = real.python(tmp_path / "bin")
    described = interpreters.inspect(str(python))
    assert MuslVersion(1, 2) == described.machine.libc
    assert str(real.loader) == described.loader
    code = "from packaging._musllinux import _get_musl_version as v; import sys; print(*v(sys.argv[1]))"
    assert "1 2" == subprocess.check_output([sys.executable, "-c", code, python], text=True).strip()
    assert f"musl {VERSION}" == json.loads(subprocess.check_output([python, "-I", "-S", INSPECT]))["libc"]
    prefix = tmp_path / "environment"
    subprocess.run([python, "-m", "venv", "--without-pip", prefix], check=True)
    ran = project.sync("--python", str(prefix))
    assert 0 == ran.code, ran.err
    assert "musllinux_1_2" in tags(prefix)


@pytest.mark.debian
@pytest.mark.online
def test_install_sh_on_a_real_musl(real: Musl, project: LockedProject, tmp_path: Path) -> None:
    """On a machine with musl, bundles for glibc and for a newer musl are errors; a matching one passes the checks."""
    python = real.python(tmp_path / "bin")
    for target in (ON_GLIBC, ON_MUSL):
        assert 0 == project.command("bundle", "--target", target, "-o", str(tmp_path / target)).code
    script = tmp_path / ON_MUSL / "install.sh"
    text = script.read_text(encoding="utf-8")
    checks = text[text.index("<<'END'\n") + 8 : text.index("\nEND\n")].replace("    check_files(here)\n", "")

    def errors(cap: str) -> str:
        folders = [str(tmp_path / ON_MUSL), str(tmp_path / "there")]
        values = ["python3", f"3.{sys.version_info.minor}", "x86_64", "2 1 62", "musl", cap]
        command = [str(python), "-I", "-B", "-", *folders, *values]
        return subprocess.run(command, input=checks, capture_output=True, text=True, check=False).stderr

    assert "" == errors("1.2")
    assert "this machine has musl 1.2, the bundle is for 1.9" in errors("1.9")
    refused = subprocess.run(
        ["sh", tmp_path / ON_GLIBC / "install.sh", tmp_path / "there"],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this machine has musl, the bundle is for glibc" in refused.stderr


@pytest.mark.debian
@pytest.mark.online
def test_real_files_of_both_c_libraries(real: Musl, tmp_path: Path) -> None:
    """What a compiler makes for one C library is correct there, and a finding under the other."""
    source = "#include <string.h>\nint f(char *a, char *b) { return strcmp(a, b); }\n"
    for_musl = real.compile(tmp_path, source, "-shared", "-fPIC").read_bytes()
    (tmp_path / "g.c").write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "g.c", "-o", "g.so"], cwd=tmp_path, check=True)
    for_glibc = (tmp_path / "g.so").read_bytes()

    def kinds(data: bytes, cap: GlibcVersion | MuslVersion) -> list[Kind]:
        binary = read_binary("a 1.0", "a.so", BytesIO(data))
        assert binary is not None
        return [finding.kind for finding in audit([binary], ["x86_64"], cap)]

    assert ([], [Kind.MUSL]) == (kinds(for_musl, MuslVersion(1, 2)), kinds(for_musl, GlibcVersion(2, 43)))
    assert ([], [Kind.LINKED_GLIBC]) == (kinds(for_glibc, GlibcVersion(2, 43)), kinds(for_glibc, MuslVersion(1, 2)))
