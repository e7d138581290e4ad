"""Wheels do not replace files of the environment or of other distributions, nor folders by files or the reverse."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from minglibc.errors import WheelError
from minglibc.install.environment import Environment
from minglibc.install.interpreter import inspect
from tests.support.environments import check_whole, installed, leftovers, site_packages, snapshot
from tests.support.parameters import one_in
from tests.support.transactions import install, prefix_of
from tests.support.wheels import BuiltWheel, build_wheel

LIB = f"lib/python3.{sys.version_info.minor}"


def b(*paths: str, scripts: Mapping[str, str] | None = None) -> BuiltWheel:
    """A wheel of b with files at *paths*; those that start with / are in the data scheme."""
    names = [f"b-1.0.data/data{path}" if path.startswith("/") else path for path in paths]
    return build_wheel("b", "1.0", files={"b/__init__.py": "", **dict.fromkeys(names, "# b\n")}, scripts=scripts)


def refused(environment: Environment, tmp_path: Path, *wheels: BuiltWheel) -> str:
    """The message of an installation that fails and changes nothing."""
    before = snapshot(prefix_of(environment))
    with pytest.raises(WheelError) as failed:
        install(environment, tmp_path / "w", *wheels)
    assert before == snapshot(prefix_of(environment))
    assert leftovers(prefix_of(environment)) == set()
    assert inspect(environment.layout.interpreter).is_environment
    return failed.value.message


@pytest.mark.parametrize(
    "path",
    [
        "/pyvenv.cfg",
        "/pyvenv.cfg/x",
        "/PyVenv.cfg/x/y",
        "/.minglibc/proof",
        "/.minglibc",
        "/bin",
        "/bin/python",
        "/bin/python3/x",
        f"/bin/python3.{sys.version_info.minor}/x/y",
        "/bin/Python3/x",
        "/bin/activate/x",
        "/bin/activate.fish/x",
        "/bin/\U0001d70bthon/x",
        "b-1.0.data/scripts/python",
        "b-1.0.data/scripts/python/x",
        "b-1.0.data/scripts/python3.99/x/y",
        "b-1.0.data/scripts/activate/x",
        "b-1.0.data/scripts/Activate.ps1/x",
        "b-1.0.data/scripts/pyvenv.cfg",
        "/bin/PyVenv.cfg/x",
        "b-1.0.data/scripts/python._pth",
        "/bin/pybuilddir.txt",
        "/conda-meta/history",
        f"/{LIB}/os.py",
        f"/{LIB}/EXTERNALLY-MANAGED/x",
        "/lib",
        f"/{LIB}",
        f"/{LIB}/site-packages",
        "/lib64",
        "/include",
        "/include/site",
        f"/lib64/python3.{sys.version_info.minor}/site-packages/evil.pth",
    ],
)
def test_files_of_the_environment_are_not_replaced(path: str, environment: Environment, tmp_path: Path) -> None:
    """Files, folders and links of the environment can't be replaced, neither directly nor by a file above or below them."""
    if not (prefix_of(environment) / "lib64").exists():
        (prefix_of(environment) / "lib64").symlink_to("lib")
    assert "would overwrite" in refused(environment, tmp_path, b(path))


@pytest.mark.parametrize("script", ["python", "python3", "activate"])
def test_entry_points_do_not_replace_the_interpreter(script: str, environment: Environment, tmp_path: Path) -> None:
    """Scripts of entry points are checked like files."""
    assert "belongs to the interpreter" in refused(environment, tmp_path, b(scripts={script: "b:main"}))


def test_links_and_unowned_files_are_kept(environment: Environment, tmp_path: Path) -> None:
    """A folder does not replace a file or link that no distribution owns, nor a file such a folder."""
    prefix, site = prefix_of(environment), site_packages(prefix_of(environment))
    (prefix / "share" / "man").mkdir(parents=True)
    (prefix / "man").symlink_to("share/man")
    (prefix / "notes").write_text("mine", encoding="utf-8")
    (site / "mine").mkdir()
    (site / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    (site / "checkout").symlink_to(tmp_path)
    (site / "single").write_text("mine", encoding="utf-8")
    assert "man, a link which exists" in refused(environment, tmp_path, b("/man/man1/b.1"))
    assert "notes, a file which exists" in refused(environment, tmp_path, b("/notes/b.txt"))
    assert "notes, a file which exists" in refused(environment, tmp_path, b("/notes"))
    assert "mine, a folder which exists" in refused(environment, tmp_path, b("mine"))
    assert "checkout, a link which exists" in refused(environment, tmp_path, b("checkout/x.py"))
    assert "single, a file which exists" in refused(environment, tmp_path, b("single/x.py"))


A = build_wheel("a", "1.0", files={"a/__init__.py": "A = 1\n", "a/deep/mod.py": "B = 1\n", "s.py": "S = 1\n"})


@pytest.mark.parametrize("together", one_in(2, [True, False]))
@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/deep",
        "s.py/x",
        "a/deep/mod.py/x/y",
        "a/__init__.py",
        f"/{LIB}/site-packages/a",
        f"/{LIB}/site-packages/s.py/x",
        "b-1.0.data/purelib/a/deep",
        "b-1.0.data/platlib/s.py/x",
        "a-1.0.dist-info/x",
        f"/{LIB}/site-packages/a-1.0.dist-info",
    ],
)
def test_paths_of_other_wheels(path: str, together: bool, environment: Environment, tmp_path: Path) -> None:  # noqa: FBT001  parametrized
    """A file where another wheel has a folder, or below another wheel's file, is refused, in any order."""
    if not together:
        install(environment, tmp_path / "w", A)
    for wheels in ((A, b(path)), (b(path), A)) if together else ((b(path),),):
        message = refused(environment, tmp_path, *wheels)
        assert "belongs to " in message or ".dist-info folders" in message
    if not together:
        check_whole(prefix_of(environment))


@pytest.mark.parametrize(
    "paths",
    [
        ("x", f"/{LIB}/site-packages/x/y"),
        (f"/{LIB}/site-packages/x", "x/y"),
        ("b-1.0.dist-info/INSTALLER/x",),
        ("b-1.0.dist-info/RECORD/x",),
        ("b-1.0.dist-info/minglibc.json/x",),
        ("b-1.0.data/scripts/tool/x",),
        ("/bin/tool/x",),
    ],
)
def test_file_and_folder_of_one_wheel(paths: tuple[str, ...], environment: Environment, tmp_path: Path) -> None:
    """A wheel whose files meet in the environment only, through schemes or generated files, is refused."""
    assert "both as a file" in refused(environment, tmp_path, b(*paths, scripts={"tool": "b:main"}))


@pytest.mark.parametrize("name", ["INSTALLER", "RECORD", "minglibc.json"])
@pytest.mark.parametrize("scheme", ["purelib", f"data/{LIB}/site-packages"])
def test_generated_files_are_not_written_twice(
    scheme: str, name: str, environment: Environment, tmp_path: Path
) -> None:
    """A file of the .data folder in the place of a file that an installation generates is refused."""
    message = refused(environment, tmp_path, b(f"b-1.0.data/{scheme}/b-1.0.dist-info/{name}"))
    assert f"would write {LIB}/site-packages/b-1.0.dist-info/{name} twice" in message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"x": "file\n"}, {"x/y.py": "file below\n"}),
        ({"x/y.py": "", "x/z/w.py": ""}, {"x": "file\n"}),
        ({"b-1.data/data/share/x": "1\n"}, {"b-2.data/data/share/x": "2\n"}),
        ({"b-1.data/data/share/x": "1\n"}, {"b-2.data/data/share/x/y": "2\n"}),
        ({"b-1.data/data/share/x/y": "1\n"}, {"b-2.data/data/share/x": "2\n"}),
    ],
)
def test_upgrade_replaces_own_paths(
    old: Mapping[str, str], new: Mapping[str, str], environment: Environment, tmp_path: Path
) -> None:
    """An upgrade may replace a file by a folder, a folder by a file, and files outside of site-packages."""
    install(environment, tmp_path / "w1", build_wheel("b", "1", files=old))
    install(environment, tmp_path / "w2", build_wheel("b", "2", files=new))
    assert installed(prefix_of(environment)) == {"b": "2"}
    check_whole(prefix_of(environment))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("reverse", [False, True])
def test_paths_move_between_wheels(order: int, reverse: bool, environment: Environment, tmp_path: Path) -> None:  # noqa: FBT001  parametrized
    """One wheel's file may become another wheel's folder in one sync, and the reverse, in whichever order they are replaced."""
    file, folder = {"x": "file\n"}, {"x/y.py": "below\n"}
    first, second = (folder, file) if reverse else (file, folder)
    old = [build_wheel("a", "1", files={"a.py": "", **first}), build_wheel("b", "1", files={"b.py": ""})]
    new = [build_wheel("a", "2", files={"a.py": ""}), build_wheel("b", "2", files={"b.py": "", **second})]
    install(environment, tmp_path / "w1", *old)
    install(environment, tmp_path / "w2", *new[::order])
    check_whole(prefix_of(environment))
    assert installed(prefix_of(environment)) == {"a": "2", "b": "2"}


def test_records_that_list_folders(environment: Environment, tmp_path: Path) -> None:
    """Removing a distribution whose RECORD lists folders or links of the environment removes none of them."""
    install(environment, tmp_path / "w", build_wheel("evil", "1"), build_wheel("good", "1"))
    prefix, site = prefix_of(environment), site_packages(prefix_of(environment))
    (prefix / "share").mkdir(exist_ok=True)
    (prefix / "share" / "precious").write_text("mine", encoding="utf-8")
    if not (prefix / "lib64").exists():
        (prefix / "lib64").symlink_to("lib")
    rows = ["bin", "lib", LIB, f"{LIB}/site-packages", "lib64", "share", ".", ".minglibc", "pyvenv.cfg/"]
    with (site / "evil-1.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.writelines(f"{os.path.relpath(prefix / row, site)},,\n" for row in rows)
        record.write("good,,\ngood-1.dist-info,,\n.,,\n")
    install(environment, tmp_path / "w", leaving=["evil"])
    assert installed(prefix) == {"good": "1"}
    assert (prefix / "share" / "precious").exists()
    assert (prefix / "lib64").is_symlink()
    assert inspect(environment.layout.interpreter).is_environment
    assert (site / "good" / "__init__.py").exists()
