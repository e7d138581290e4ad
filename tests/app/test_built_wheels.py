"""`toolchain = "zig"` and `built-wheels`: wheels that `lock` and `build` write to a folder of the project."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from minglibc.app import capped_builds
from minglibc.build.toolchain import Zig
from minglibc.errors import SettingsError
from minglibc.lock.built_from import built_from
from tests.support.commands import read_lock
from tests.support.elves import elf
from tests.support.environments import LockedProject, check_whole, installed
from tests.support.explained import manylinux
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import build_wheel

# They build several times.
pytestmark = pytest.mark.slow

ZIG = 'allow-sdist = ["a"]\ntoolchain = "zig"\n'
BUILT = f'{ZIG}built-wheels = "wheels"\n'


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project whose builds need no compiler."""
    monkeypatch.setattr(capped_builds, "find_zig", lambda: Zig("/nonexistent/zig", "0"))
    return LockedProject(tmp_path / "project", index)


def wheels(project: LockedProject) -> list[str]:
    """The files in the folder of built wheels."""
    folder = project.folder / "wheels"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_locked_by_path_and_hash(project: LockedProject, index: IndexServer) -> None:
    """`lock` writes the wheel that it built to the folder, and `sync` installs that file without the index."""
    index.add(build_source("a", "1.0", needs="2.14", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.write(["a"], more=BUILT)
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    (name,) = wheels(project)
    (package, _) = read_lock(project.folder).pylock.packages
    assert package.wheels is not None
    assert package.sdist is None
    (wheel,) = package.wheels
    assert f"wheels/{name}" == wheel.path
    content = (project.folder / "wheels" / name).read_bytes()
    assert {"sha256": hashlib.sha256(content).hexdigest()} == wheel.hashes
    assert f"built from source: a 1.0 ({name})" in ran.err
    assert 0 == project.sync().code
    check_whole(project.venv)
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)
    assert 0 == project.command("lock", "--check").code


def test_changed_wheel_makes_the_lock_stale(project: LockedProject, index: IndexServer) -> None:
    """If the built wheel is missing or changed, the lock is stale, and `lock` writes it again."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.lock("a", more=BUILT)
    (name,) = wheels(project)
    path = project.folder / "wheels" / name
    content = path.read_bytes()
    for change in (path.unlink, lambda: path.write_bytes(b"other")):
        change()
        assert 1 == project.command("lock", "--check").code
        assert 0 == project.command("lock").code
        assert content == path.read_bytes()


def test_the_lock_records_the_source(project: LockedProject, index: IndexServer) -> None:
    """The lock has the hash of the source distribution and the builder, for audits and for later locks."""
    source = build_source("a", "1.0", needs="2.14")
    index.add(source)
    project.lock("a", more=BUILT)
    (package,) = read_lock(project.folder).pylock.packages
    ((name, recorded),) = built_from(package).items()
    assert [name] == wheels(project)
    assert f"sha256:{hashlib.sha256(source.content).hexdigest()}" == recorded.hash
    assert "a-1.0.tar.gz" == recorded.source
    assert "-glibc2.17-zig0" in recorded.builder


def test_locked_wheels_are_not_built_again(
    project: LockedProject, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine, without zig and with an empty cache, updates the lock with the wheels of the project."""
    index.add(build_source("a", "1.0", needs="2.14"))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=BUILT)
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setattr(capped_builds, "find_zig", _no_zig)
    project.write(["a", "b"], more=BUILT)
    before = (project.folder / "wheels" / wheels(project)[0]).read_bytes()
    ran = project.command("lock", "--upgrade")
    assert 0 == ran.code, ran.err
    assert "Building" not in ran.err
    assert before == (project.folder / "wheels" / wheels(project)[0]).read_bytes()
    assert 0 == project.command("lock", "--check").code


def test_damaged_wheels_are_built_again(
    project: LockedProject, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel that differs from the lock is not used, although the cache is empty."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.lock("a", more=BUILT)
    path = project.folder / "wheels" / wheels(project)[0]
    content = path.read_bytes()
    path.write_bytes(content + b"more")
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "empty"))
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    assert "Building a 1.0" in ran.err
    assert content == path.read_bytes()


def test_pure_wheels_serve_all_targets(project: LockedProject, index: IndexServer) -> None:
    """A pure Python wheel is built once, with the toolchain for the cap too, although a target's Python is missing here."""
    index.add(build_source("a", "1.0"))
    project.write(["a"], python='3.9", "3.11", "3.14', more=BUILT)
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    assert 1 == ran.err.count("Building a 1.0")
    assert ["a-1.0-1minglibc-py3-none-any.whl"] == wheels(project)


def test_build_newer(project: LockedProject, index: IndexServer) -> None:
    """A release within the cap is built instead of an older one that has a wheel."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0", manylinux(28)))
    index.add(build_source("a", "2.0", needs="2.14"))
    project.lock("a", more='toolchain = "zig"\nbuilt-wheels = "wheels"\n')
    assert 'needs glibc 2.28; a build was not tried: build-newer = ["a"]' in project.command("why", "a").out
    assert 'build-newer = ["a"]' in project.command("outdated").out
    project.lock("a", more='toolchain = "zig"\nbuilt-wheels = "wheels"\nbuild-newer = ["a"]\n')
    assert ["a-2.0"] == [name[:5] for name in wheels(project)]


def test_build_newer_that_fails(project: LockedProject, index: IndexServer) -> None:
    """A failed build is a warning, and the older release's wheel is used; `why` says that the build was tried."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0", manylinux(28)))
    index.add(build_source("a", "2.0", fault="fails"))
    index.add(build_source("a", "1.5", fault="fails"))
    more = 'toolchain = "zig"\nbuilt-wheels = "wheels"\nbuild-newer = ["a"]\n'
    project.write(["a"], more=more)
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    assert "warning: skipped a-2.0.tar.gz" in ran.err
    assert 1 == ran.err.count("Building a")
    assert "+ a 1.0" in ran.err
    assert "a build was tried: it could not be built" in project.command("why", "a").out


def test_graft_settings(project: LockedProject) -> None:
    """Names that are no libraries, and graft without zig, are reported with the setting."""
    for value in ('["a b"]', "true", '["../x"]', "[1]"):
        project.write([], more=f'toolchain = "zig"\ngraft = {value}\n')
        ran = project.command("lock")
        assert 2 == ran.code
        assert "tool.minglibc.graft" in ran.err
    project.write([], more='graft = ["pq"]\n')
    assert 'requires toolchain = "zig"' in project.command("lock").err


def test_graft_of_a_missing_library(project: LockedProject, index: IndexServer) -> None:
    """A library that this machine lacks is an error that names the package to install."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], more=f'{BUILT}graft = ["libnowhere.so.1"]\n')
    ran = project.command("lock")
    assert 1 == ran.code
    assert "graft names nowhere, and this machine has no libnowhere.so" in ran.err
    assert "libnowhere-dev" in ran.err


def test_other_libraries_need_graft(
    project: LockedProject, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library outside of the policies is named with the file that needs it, and with the setting if this machine has it."""
    library = elf(needs={"libc.so.6": ["GLIBC_2.14"], "libother.so.1": []})
    source = build_source("a", "1.0", needs="2.14", files={"_a.so": library})
    index.add(source)
    project.write(["a"], more=BUILT)
    ran = project.command("lock")
    assert 1 == ran.code
    assert "needs libother.so.1 (_a.so), which machines at the cap may lack" in ran.err
    assert "this machine has no such library to graft" in ran.err
    assert "hint: this would work (verified): \n" not in ran.err
    monkeypatch.setattr(capped_builds, "source_of", lambda library: f"{library} of a package")
    assert 'graft = ["other"] copies what is within the cap into the wheel' in project.command("lock", "--refresh").err


def _no_zig() -> Zig:
    raise SettingsError("no zig")


def test_commands_read_the_built_wheel(project: LockedProject, index: IndexServer) -> None:
    """`why`, `outdated`, `tree` and `bundle` use the locked wheel, which no index has."""
    index.add(build_source("a", "1.0", needs="2.14", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("pip", "24.0"))
    project.lock("a", more=BUILT)
    for command in (["why", "b"], ["outdated"], ["tree"], ["bundle", "-o", str(project.folder / "bundle")]):
        ran = project.command(*command)
        assert 0 == ran.code, ran.err
    assert "the project → a (1.0) → b" in project.command("why", "b").out
    assert wheels(project)[0] in os.listdir(project.folder / "bundle" / "wheels")


def test_dry_run_writes_nothing(project: LockedProject, index: IndexServer) -> None:
    """`lock --dry-run` builds, and writes neither the lock nor the wheel."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], more=BUILT)
    assert 0 == project.command("lock", "--dry-run").code
    assert [] == wheels(project)


def test_above_the_cap_is_not_locked(project: LockedProject, index: IndexServer) -> None:
    """A build that needs more than the cap is skipped with what it needs, although it was made for the cap."""
    index.add(build_source("a", "1.0", needs="2.31"))
    project.write(["a"], more=BUILT)
    ran = project.command("lock")
    assert 1 == ran.code
    assert "needs GLIBC_2.31" in ran.err
    assert [] == wheels(project)


def test_system_builds_name_the_toolchain(project: LockedProject, index: IndexServer) -> None:
    """The rejection of a wheel that this machine's compiler built names the toolchain that builds for the cap."""
    index.add(build_source("a", "1.0", needs="2.31"))
    project.write(["a"], more='allow-sdist = ["a"]\n')
    ran = project.command("lock")
    assert 1 == ran.code
    assert 'toolchain = "zig"' in ran.err


def test_lock_option(project: LockedProject, index: IndexServer) -> None:
    """`--toolchain` selects the compilers, as the setting does; without zig it is an error that names the extra."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], more='allow-sdist = ["a"]\nbuilt-wheels = "wheels"\n')
    ran = project.command("lock", "--toolchain", "zig")
    assert 0 == ran.code, ran.err
    (name,) = wheels(project)
    assert name.startswith("a-1.0-1minglibc-")


def test_logs(project: LockedProject, index: IndexServer) -> None:
    """The output of a build is in a file that messages name, and a failed build shows its end."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], more=BUILT)
    ran = project.command("lock")
    log = Path(ran.err.partition("(log: ")[2].partition(")")[0])
    assert log.is_file()
    assert log.read_text().startswith("a 1.0: cp3")


@pytest.mark.parametrize("folder", ["../wheels", "/wheels", "."])
def test_folders_outside_of_the_project(project: LockedProject, folder: str) -> None:
    """Only a folder below the project can be named."""
    project.write(["a"], more=f'built-wheels = "{folder}"\n')
    ran = project.command("lock")
    assert 2 == ran.code
    assert "tool.minglibc.built-wheels" in ran.err


def test_links_out_of_the_project(project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """A link that leads out of the project is not followed."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], more=BUILT)
    (tmp_path / "other").mkdir()
    (project.folder / "wheels").symlink_to(tmp_path / "other")
    ran = project.command("lock")
    assert 2 == ran.code
    assert "leads out of" in ran.err
    assert [] == os.listdir(tmp_path / "other")


def test_build_command(project: LockedProject, index: IndexServer) -> None:
    """`build` writes wheels of named packages, and one failure does not prevent the others."""
    index.add(build_source("a", "1.0", needs="2.14"))
    index.add(build_source("a", "2.0", needs="2.14"))
    index.add(build_source("c", "1.0", needs="2.31"))
    project.write([], more='toolchain = "zig"\n')
    ran = project.command("build", "a==1.0", "c", "-o", str(project.folder / "out"))
    assert 1 == ran.code
    assert "error: the wheel built here from c 1.0 is incompatible" in ran.err
    assert "Built 1 wheel for 1 target, 1 failed" in ran.err
    (path,) = ran.out.splitlines()
    assert Path(path).is_file()
    assert Path(path).name.startswith("a-1.0-1minglibc-")


def test_build_command_follows_the_lock(project: LockedProject, index: IndexServer) -> None:
    """Without names, `build` writes what the lock has from source, in the locked version."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.lock("a", more=BUILT)
    index.add(build_source("a", "2.0", needs="2.14"))
    (name,) = wheels(project)
    (project.folder / "wheels" / name).unlink()
    ran = project.command("build", "--json")
    assert 0 == ran.code, ran.err
    (entry,) = json.loads(ran.out)
    assert "a 1.0" == entry["release"]
    assert [name] == wheels(project)


def test_build_command_needs_a_folder(project: LockedProject, index: IndexServer) -> None:
    """Without a folder, and without anything to build, the error says what to name."""
    project.write([], more='toolchain = "zig"\n')
    assert "-o" in project.command("build", "a").err
    assert "name the packages" in project.command("build", "-o", "out").err


def test_build_of_an_unknown_release(project: LockedProject, index: IndexServer) -> None:
    """A version without a source distribution is an error that names it."""
    index.add(build_wheel("a", "1.0"))
    project.write([], more='toolchain = "zig"\n')
    ran = project.command("build", "a==1.0", "-o", "out")
    assert 1 == ran.code
    assert "no release of a==1.0 has a source distribution" in ran.err
