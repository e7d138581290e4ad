"""`minglibc check`: the files of locked wheels, of wheels on disk and of environments, held against the cap."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from minglibc.audit.folders import Folder, is_environment, read_folders
from tests.support.check import check, make_environment
from tests.support.elves import elf
from tests.support.explained import Project, compiled, manylinux, valid
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

LIAR = compiled("liar", "1.0", manylinux(17), "GLIBC_2.17", "GLIBC_2.34")
HONEST = compiled("honest", "1.0", manylinux(17), "GLIBC_2.17")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """An index with a wheel whose tag is correct, and one whose tag understates what it needs."""
    index.add(LIAR)
    index.add(HONEST)
    return Project(tmp_path, index)


def test_locked_wheel_above_the_cap(project: Project) -> None:
    """A locked wheel with a file above the cap: exit code 1, and the distribution, file, version, symbol and sufficient cap."""
    ran = check(project.write("liar", "honest").lock())
    assert 1 == ran.code
    line = "liar 1.0: liar/_liar.abi3.so needs GLIBC_2.34 of libc.so.6 (pthread_create); glibc 2.34 has it\n"
    assert line == ran.out
    assert "Checked 2 binaries in 2 wheels against glibc 2.17: 1 finding\n" in ran.err


def test_lock_within_the_cap(project: Project) -> None:
    """If every file is within the cap, only the number of files is printed, and the exit code is 0."""
    ran = check(project.write("honest").lock())
    assert (0, "") == (ran.code, ran.out)
    assert "0 findings" in ran.err


def test_results_are_cached(project: Project) -> None:
    """Results are cached by the digest of the wheel: a second check opens no wheel, and prints the same."""
    project.write("liar", "honest").lock()
    first = check(project)
    assert 2 == len(project.index.paths("*.whl"))
    project.index.reset()
    assert first == check(project)
    assert [] == project.index.paths()
    assert first == check(project, "--offline")


def test_libraries_of_other_wheels(project: Project) -> None:
    """A library that another wheel of the same target contains is not reported; a missing one is."""
    needy = elf(needed=("libfriend.so.1",))
    project.index.add(build_wheel("needy", "1.0", manylinux(17), files={"needy/x.so": needy}, requires=["friend"]))
    friend = {"friend/libfriend.so.1": elf(soname="libfriend.so.1")}
    project.index.add(build_wheel("friend", "1.0", manylinux(17), files=friend))
    assert 0 == check(project.write("needy").lock()).code
    project.index.add(build_wheel("needy", "2.0", manylinux(17), files={"needy/x.so": needy}))
    ran = check(project.lock("-U"))
    assert 1 == ran.code
    assert "needy/x.so needs libfriend.so.1, which no wheel contains" in ran.out


def test_each_target_has_its_own_cap(project: Project) -> None:
    """A file is checked against the cap of its own architecture."""
    project.index.add(compiled("both", "1.0", manylinux(17), "GLIBC_2.17"))
    arm = build_wheel(
        "both",
        "1.0",
        manylinux(28, architecture="aarch64"),
        files={"both/a.so": elf("aarch64", needs={"libc.so.6": ["GLIBC_2.28"]})},
    )
    project.index.add(arm)
    project.write("both", glibc={"x86_64": "2.17", "aarch64": "2.28"}, architectures=["x86_64", "aarch64"])
    ran = check(project.lock())
    assert (0, "") == (ran.code, ran.out)
    assert "2 binaries in 2 wheels against glibc 2.17, 2.28" in ran.err


def test_another_cap(project: Project) -> None:
    """`--glibc` checks the same wheels against another cap, without another lock."""
    assert 0 == check(project.write("liar").lock(), "--glibc", "2.34").code
    ran = check(project, "--glibc", "2.16")
    assert 1 == ran.code
    assert "hint: raise the cap to 2.34, or require other releases" in ran.err


def test_binaries_of_other_platforms_are_skipped(project: Project) -> None:
    """Binaries for other machines and systems are skipped, and their number is printed."""
    files = {"x/x.exe": b"MZ" + bytes(100), "x/arm.so": elf("aarch64", needs={"libc.so.6": ["GLIBC_2.38"]})}
    project.index.add(build_wheel("x", "1.0", files=files))
    ran = check(project.write("x").lock())
    assert (0, "") == (ran.code, ran.out)
    assert "Checked 0 binaries in 1 wheel against glibc 2.17: 0 findings; 2 skipped (other platforms)\n" == ran.err


def test_wheels_and_folders(project: Project) -> None:
    """Wheels and folders of wheels on disk are checked against the project's cap, each wheel by itself."""
    project.write("honest")
    folder = project.folder / "wheels"
    folder.mkdir()
    for wheel in (LIAR, HONEST):
        (folder / wheel.filename).write_bytes(wheel.content)
    assert 0 == check(project, str(folder / HONEST.filename)).code
    ran = check(project, str(folder))
    assert 1 == ran.code
    assert ran.out.startswith("liar 1.0: liar/_liar.abi3.so needs GLIBC_2.34")
    assert 0 == check(project, str(folder), "--glibc", "2.34", "--arch", "x86_64").code


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.whl"], 1, "can't read nowhere.whl"),
        (["pyproject.toml"], 1, "neither a wheel nor a folder"),
        (["."], 1, "contains no wheels"),
        (["--environment", "nowhere"], 1, "can't start the interpreter nowhere"),
        (["--environment", "."], 1, "has no bin/python"),
        (["--environment", ".", "x.whl"], 2, "combined with paths"),
        ([], 1, "there is no pylock.toml"),
        (["x.whl", "--glibc", "3.0"], 2, "there is no glibc 3.0"),
    ],
)
def test_mistakes(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    """An invalid path is an error."""
    project.write("honest")
    monkeypatch.chdir(project.folder)
    ran = check(project, *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err


def test_damaged_wheel(project: Project) -> None:
    """A .whl file that is not an archive is an error, not a traceback."""
    path = project.write("honest").folder / "x-1.0-py3-none-any.whl"
    path.write_bytes(b"PK\x03\x04 and no more")
    ran = check(project, str(path))
    assert 1 == ran.code
    assert f"error: can't read {path}" in ran.err


def test_damaged_lock_is_refused(project: Project) -> None:
    """A truncated lock is an error."""
    project.write("liar", "honest").lock()
    path = project.folder / "pylock.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("liar-1.0-cp39", "liar-1.0-1-cp39"), encoding="utf-8")
    ran = check(project)
    assert 1 == ran.code
    assert "was truncated or edited" in ran.err


def test_environment(project: Project) -> None:
    """In an environment of another installer, the file, its distribution and the version are named, also of files that no distribution owns."""
    project.write("honest", glibc="2.27")
    extension = elf(needs={"libc.so.6": ["GLIBC_2.33"]})
    site = make_environment(project.folder / ".venv", "crypto", "44.0.1", {"crypto/_rust.abi3.so": extension})
    (site / "stray.so").write_bytes(extension)
    ran = check(project, "--environment", str(project.folder / ".venv"))
    assert 1 == ran.code
    place = site.relative_to(project.folder / ".venv")
    stray, owned = ran.out.splitlines()
    assert f"{place}/stray.so needs GLIBC_2.33 of libc.so.6 (stat64); glibc 2.33 has it" == stray
    assert owned.startswith(f"crypto 44.0.1: {place}/crypto/_rust.abi3.so needs GLIBC_2.33")
    assert "hint: `minglibc sync`" in ran.err
    by_interpreter = check(project, "--environment", str(project.folder / ".venv" / "bin" / "python"))
    assert ran.out == by_interpreter.out
    assert 0 == check(project, "--environment", str(project.folder / ".venv"), "--glibc", "2.33").code


def test_packages_of_a_system_python(tmp_path: Path) -> None:
    """Of a system's Python only the packages are checked, of a conda environment all files."""
    for path in ("lib/site", "bin", "conda-meta"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("lib/site/a.so", "bin/tool"):
        (tmp_path / path).write_bytes(elf())
    site = Folder(str(tmp_path / "lib/site"))
    assert ["lib/site/a.so"] == [binary.path for binary in read_folders(str(tmp_path), [site, site]).binaries]
    everything = read_folders(str(tmp_path), [Folder(str(tmp_path))])
    assert {"lib/site/a.so", "bin/tool"} == {binary.path for binary in everything.binaries}
    assert is_environment(str(tmp_path))
    assert not is_environment(str(tmp_path / "bin"))


def test_x86_64_levels(project: Project) -> None:
    """A file for x86-64-v3 is a finding, unless the option or the setting, which leaves the lock fresh, allows it."""
    files = {"fast/_fast.abi3.so": elf(cpu_bits=4)}
    project.index.add(build_wheel("fast", "1.0", manylinux(17), files=files))
    ran = check(project.write("fast").lock())
    assert (1, "fast 1.0: fast/_fast.abi3.so needs a processor with x86-64-v3\n") == (ran.code, ran.out)
    assert 'hint: set tool.minglibc.cpu = "x86-64-v3"' in ran.err
    ran = check(project, "--cpu", "x86-64-v3")
    assert (0, "") == (ran.code, ran.out)
    assert "against glibc 2.17 and x86-64-v3: 0 findings" in ran.err
    project.write("fast", cpu="x86-64-v3")
    assert 0 == check(project).code
    assert 1 == check(project, "--cpu", "x86-64").code
    project.write("fast", cpu="v3")
    ran = check(project)
    assert 2 == ran.code
    assert "tool.minglibc.cpu is 'v3'; expected" in ran.err


@pytest.mark.slow
def test_older_libstdcxx(project: Project, tmp_path: Path) -> None:
    """A file that needs a newer libstdc++ than the setting names is a finding, also in a folder and a wheel."""
    extension = elf(needs={"libstdc++.so.6": ("GLIBCXX_3.4.19",)})
    wheel = build_wheel("plus", "1.0", manylinux(17), files={"plus/_plus.abi3.so": extension})
    project.index.add(wheel)
    expected = "plus 1.0: plus/_plus.abi3.so needs GLIBCXX_3.4.19 of libstdc++.so.6"
    assert 0 == check(project.write("plus").lock()).code
    project.write("plus", libstdcxx="GLIBCXX_3.4.13").lock()
    assert 'libstdcxx = "3.4.13"' in (project.folder / "pylock.toml").read_text()
    (tmp_path / wheel.filename).write_bytes(wheel.content)
    for ran in (check(project), check(project, str(tmp_path / wheel.filename))):
        assert (1, True) == (ran.code, ran.out.startswith(expected)), ran.err
    assert 0 == check(project, "--glibc", "2.17").code
    project.write("plus", libstdcxx="4.0")
    ran = project.run("lock")
    assert (2, True) == (ran.code, "is invalid: '4.0' is not a version of libstdc++" in ran.err)


def test_json(project: Project) -> None:
    """The output of --json is valid for docs/reference/json/check.schema.json."""
    ran = check(project.write("liar", "honest").lock(), "--json")
    found = valid("check", ran.out)
    assert {"x86_64": "2.17"} == found["caps"]
    assert "x86-64" == found["cpu"]
    assert {"held": 2, "static": 0, "foreign": 0, "unreadable": 0} == found["binaries"]
    finding = {
        "distribution": "liar 1.0",
        "path": "liar/_liar.abi3.so",
        "kind": "glibc",
        "library": "libc.so.6",
        "version": "GLIBC_2.34",
        "symbols": ["pthread_create"],
        "lowest-cap": "2.34",
        "detail": "",
    }
    assert [finding] == found["findings"]


@pytest.mark.online
def test_environment_of_pip(project: Project, tmp_path: Path) -> None:
    """An environment that pip made for paramiko, checked against 2.27: `_rust.abi3.so` and its version are named."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    command += ["--platform", "manylinux_2_34_x86_64", "--target", str(site), "cryptography==50.0.2"]
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    kept = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    subprocess.run(command, env=kept | settings, check=True)
    ran = check(project.write("honest", glibc="2.27"), "--environment", str(folder), "--json")
    assert 1 == ran.code
    (finding,) = [each for each in valid("check", ran.out)["findings"] if each["kind"] == "glibc"]
    assert "cryptography 50.0.2" == finding["distribution"]
    assert finding["path"].endswith("cryptography/hazmat/bindings/_rust.abi3.so")
    assert ("GLIBC_2.34", "2.34") == (finding["version"], finding["lowest-cap"])
