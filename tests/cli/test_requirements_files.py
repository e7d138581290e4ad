"""`lock -r`: locks of requirements files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.config.requirements_file import lines
from minglibc.lock.digest import seal
from minglibc.lock.reader import loads
from tests.support import child
from tests.support.commands import locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.projects import RUNNING_OPTIONS, lock_requirements, locked_package, project, run
from tests.support.wheels import build_wheel

IN = """# The requirements of the tool.
a[x] >= 1.0 ; python_version > "3.0"  # a comment
-r more.in
-c limits.txt
"""


PROJECT = """[project]
name = "example"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
python = ["3.13"]
"""


@pytest.fixture
def inputs(tmp_path: Path, index: IndexServer) -> Path:
    """A folder with requirements files that contain every kind of line, and no pyproject.toml."""
    index.max_age = 0
    for version in ("1.0", "2.0", "3.0"):
        index.add(build_wheel("a", version, requires=["c; extra == 'x'"], provides_extra=["x"]))
    b = build_wheel("b", "1.0", scripts={"b": "b:main"}, files={"b/__init__.py": "def main(): print('b runs')\n"})
    index.add(b)
    index.add(build_wheel("c", "1.0"))
    index.add(build_wheel("pip", "25.0"))
    (tmp_path / "requirements.in").write_text(IN)
    (tmp_path / "more.in").write_text(
        f"b==\\\n    1.0 --hash=sha256:00 \\\n    --hash=sha256:{b.sha256}\n--only-binary :all:\n"
    )
    (tmp_path / "limits.txt").write_text("a<3\na!=2.5\nnobody==1\n")
    return tmp_path


def test_lock(inputs: Path, index: IndexServer) -> None:
    """Includes, constraints, extras, markers, hashes, comments and continued lines have effect; ignored options are reported."""
    ran = lock_requirements(inputs, index, *RUNNING_OPTIONS)
    assert 0 == ran.code, ran.err
    lock = read_lock(inputs)
    assert {"a": "2.0", "b": "1.0", "c": "1.0"} == lock.versions(lock.targets[0])
    assert "--only-binary is ignored" in ran.err
    assert "from requirements.in" in (inputs / "pylock.toml").read_text().split("\n")[0]


def test_options_are_recorded(inputs: Path, index: IndexServer) -> None:
    """The lock records the target options, so that later commands need none."""
    assert 0 == lock_requirements(inputs, index, *RUNNING_OPTIONS).code
    before = (inputs / "pylock.toml").read_bytes()
    assert "is up to date" in lock_requirements(inputs, index).err
    assert 0 == lock_requirements(inputs, index, "--check").code
    assert before == (inputs / "pylock.toml").read_bytes()
    options = ("--lock", str(inputs / "pylock.toml"))
    synced = minglibc("sync", *options)
    assert 0 == synced.code, synced.err
    assert "b @" in minglibc("export", *options).out
    bundled = minglibc("bundle", *options, "-o", str(inputs / "bundle"), "--index-url", index.url)
    assert 0 == bundled.code, bundled.err
    assert "a==2.0" in minglibc("tree", *options).out
    assert "b runs\n" == child.run("run", *options, "b", cwd=inputs).stdout


def test_changed_file(inputs: Path, index: IndexServer) -> None:
    """`lock --check` and `sync` notice a changed line, also in an included file; a changed comment has no effect."""
    assert 0 == lock_requirements(inputs, index, *RUNNING_OPTIONS).code
    hashes = (inputs / "more.in").read_text().partition("1.0 ")[2]
    (inputs / "more.in").write_text(f"b==1.0 {hashes} # as before\n")
    assert 0 == lock_requirements(inputs, index, "--check").code
    (inputs / "more.in").write_text("b==1.0\nd\n")
    stale = lock_requirements(inputs, index, "--check")
    assert 1 == stale.code
    assert "d is required and not locked" in stale.err
    refused = minglibc("sync", "--lock", str(inputs / "pylock.toml"))
    assert 1 == refused.code
    assert "minglibc lock -r requirements.in" in refused.err
    assert 0 == minglibc("sync", "--frozen", "--lock", str(inputs / "pylock.toml")).code


def test_settings_beside_the_file(inputs: Path, index: IndexServer) -> None:
    """Settings come from the pyproject.toml beside the file, the command line overrides them, and the project's own lock is not replaced."""
    (inputs / "pyproject.toml").write_text(
        f'[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11,<3.12"\ndependencies = ["b"]\n'
        f'[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\nconstraints = ["a!=2.0"]\n'
    )
    output = ("-o", str(inputs / "pylock.tools.toml"))
    assert 0 == lock_requirements(inputs, index, *output).code
    text = (inputs / "pylock.tools.toml").read_text()
    assert "`minglibc lock -r requirements.in -o pylock.tools.toml` brings it up to date" in text
    assert "`minglibc sync --lock pylock.tools.toml` installs it" in text
    lock = loads(text)
    assert ["2.28"] == [str(target.cap) for target in lock.targets]
    assert "1.0" == lock.versions(lock.targets[0])["a"]
    assert 0 == run(inputs, "lock").code
    refused = lock_requirements(inputs, index)
    assert 1 == refused.code
    assert "is the lock of pyproject.toml, not of requirements.in" in refused.err
    assert 0 == lock_requirements(inputs, index, *output, "--glibc", "2.17").code
    assert ["2.17"] == [str(t.cap) for t in loads((inputs / "pylock.tools.toml").read_text()).targets]


def test_rules_of_uv_beside_the_file(inputs: Path, index: IndexServer) -> None:
    """As in `uv pip compile`, constraints and indexes of [tool.uv] apply, and its sources do not; a note says so."""
    wheels = inputs / "wheels"
    wheels.mkdir()
    own = build_wheel("c", "7.0")
    (wheels / own.filename).write_bytes(own.content)
    (inputs / "pyproject.toml").write_text(
        '[tool.uv]\nconstraint-dependencies = ["a<2"]\nfind-links = ["wheels"]\n'
        '[tool.uv.pip]\nresolution = "highest"\n[tool.uv.sources]\na = { git = "https://git.example.invalid/a" }\n'
    )
    ran = lock_requirements(inputs, index, *RUNNING_OPTIONS)
    assert ran.code == 0, ran.err
    assert locked_versions(inputs) == {"a": "1.0", "b": "1.0", "c": "7.0"}
    assert (
        "pyproject.toml: tool.uv applies as in `uv pip compile`: constraint-dependencies, resolution, find-links"
        in ran.err
    )
    assert "warning" not in ran.err
    (inputs / "pyproject.toml").write_text("")
    assert lock_requirements(inputs, index, "--check").code == 1


def test_project_does_not_replace_the_lock(inputs: Path, index: IndexServer) -> None:
    """`lock` does not replace the lock of requirements files with that of a project."""
    assert 0 == lock_requirements(inputs, index, *RUNNING_OPTIONS).code
    before = (inputs / "pylock.toml").read_bytes()
    project(inputs, index, PROJECT)
    refused = run(inputs, "lock")
    assert 1 == refused.code
    assert "is the lock of requirements.in" in refused.err
    assert before == (inputs / "pylock.toml").read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-i example.invalid/simple", "--index-url is a path; give a URL"),
        ("-i ftp://example.invalid/simple", '--index-url is "ftp://example.invalid/simple"; expected a URL'),
        ("-i https://[::1/simple", '--index-url is "https://[::1/simple"; expected a URL'),
        ("--extra-index-url=", "--extra-index-url has no value"),
        ("--extra-index-url=https://${HOST}/simple", "uses ${HOST}"),
        ("--no-index", "--no-index leaves no index, because there is no --find-links"),
        ("-e .", "requirements.in:2 names ., which has no pyproject.toml with a name"),
        ("-e git+https://example.invalid/a#egg=a", "is not a path; write the path of its folder"),
        ("-e", "-e  is not a path"),
        ("./lib[x]", "names ./lib, which has no pyproject.toml with a name"),
        ("~/lib", "~/lib is not a path that a lock can contain"),
        ("file:///lib", "is not a path that a lock can contain"),
        ("--no-binary :all:", "wheels are used where there are some"),
        ("--frobnicate", "--frobnicate is not a known option"),
        ("-r nowhere.in", "names nowhere.in, which does not exist"),
        ("-r https://example.invalid/r.in", "is a URL"),
        ("a b", "is not a valid requirement"),
        ("a --install-option=x", "--install-option of a"),
        ("--pre --frobnicate", "--frobnicate is not a known option"),
        ("./a-1.0.tar.gz", "is not a wheel"),
    ],
)
def test_invalid_lines(tmp_path: Path, line: str, problem: str) -> None:
    """Lines that a lock can't express are reported with file and line, all at once."""
    (tmp_path / "requirements.in").write_text(f"a\n{line}\n-e also\n")
    ran = minglibc("lock", "-r", str(tmp_path / "requirements.in"), "--glibc", "2.17")
    assert 2 == ran.code
    assert problem in ran.err
    assert "requirements.in:2" in ran.err
    assert "requirements.in:3" in ran.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "there is no cap for requirements.in"),
        (("--glibc", "2.17"), "there are no Python versions for requirements.in"),
        (("--glibc", "2.17", "-o", "lock.toml"), "is not a valid name for a lock"),
        (("--glibc", "2.17", "--script", "x.py"), "can't be combined"),
    ],
)
def test_missing_options(tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    """A missing cap or Python, or an invalid name for the lock, is a usage error."""
    (tmp_path / "requirements.in").write_text("a\n")
    ran = minglibc("lock", "-r", str(tmp_path / "requirements.in"), *options)
    assert 2 == ran.code
    assert problem in ran.err


def test_circular_includes(inputs: Path, index: IndexServer) -> None:
    """Files may include each other; each is read once."""
    (inputs / "more.in").write_text("-r requirements.in\nb\n")
    assert 0 == lock_requirements(inputs, index, *RUNNING_OPTIONS).code


def test_deep_includes_and_long_lines(inputs: Path, index: IndexServer) -> None:
    """A thousand files that include each other are an error, and so is a line of a megabyte, which is not printed."""
    for number in range(1000):
        (inputs / f"{number}.in").write_text(f"-r {number + 1}.in\n")
    (inputs / "requirements.in").write_text(f"-r 0.in\na=={'1' * 1_000_000}\n")
    ran = lock_requirements(inputs, index, *RUNNING_OPTIONS)
    assert 2 == ran.code
    assert "49.in:1 includes files more than 50 levels deep" in ran.err
    assert "requirements.in:2 is longer than 10000 characters" in ran.err
    assert len(ran.err) < 1000


@given(st.text(alphabet=st.sampled_from([*"ab-r# \\=\n.;@[]<>1\t\"'/:"])))
def test_any_text(text: str) -> None:
    """The reader fails for no text, and reports only line numbers of the text."""
    for line in lines(text):
        assert 1 <= line.number <= len(text.splitlines())


def test_path_of_a_wheel(inputs: Path, index: IndexServer) -> None:
    """A line with the path of a wheel, relative to its file, is a requirement."""
    wheel = build_wheel("d", "1.0")
    (inputs / "deep").mkdir()
    (inputs / "deep" / wheel.filename).write_bytes(wheel.content)
    (inputs / "deep" / "d.in").write_text(f"./{wheel.filename} ; python_version > '3'\n")
    (inputs / "requirements.in").write_text("-r deep/d.in\nb\n")
    ran = lock_requirements(inputs, index, *RUNNING_OPTIONS)
    assert 0 == ran.code, ran.err
    assert f"deep/{wheel.filename}" == locked_package(inputs, "d")["wheels"][0]["path"]


def test_files_outside_the_folder_are_not_recorded(inputs: Path, index: IndexServer) -> None:
    """A lock does not name requirements files outside its folder; `lock --check` needs them again, `sync` does not."""
    folder = inputs / "tool"
    folder.mkdir()
    output = str(folder / "pylock.toml")
    ran = lock_requirements(inputs, index, *RUNNING_OPTIONS, "-o", output)
    assert ran.code == 0, ran.err
    text = (folder / "pylock.toml").read_text()
    assert "requirements.in" not in text
    assert "external = true" in text
    assert minglibc("lock", "--check", "-r", str(inputs / "requirements.in"), "-o", output).code == 0
    (inputs / "more.in").write_text("c\n")
    assert minglibc("lock", "--check", "-r", str(inputs / "requirements.in"), "-o", output).code == 1


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "a/../../secret", "..\\secret"])
@pytest.mark.parametrize("key", ["requirements", "script"])
@pytest.mark.parametrize("command", ["sync", "export", "check", "tree"])
def test_a_lock_reads_no_file_outside_its_folder(path: str, key: str, command: str, tmp_path: Path) -> None:
    """A forged lock can't print the lines of another file."""
    (tmp_path / "secret").write_text("machine example.invalid password s3cr3t\n")
    folder = tmp_path / "project"
    folder.mkdir()
    value = f"[{path!r}]" if key == "requirements" else repr(path)
    body = (
        'lock-version = "1.0"\ncreated-by = "minglibc"\npackages = []\n\n[tool.minglibc]\nlock-format = 1\n'
        f"{key} = {value}\n"
        'targets = [{ python = "3.11", architecture = "x86_64", glibc = "2.17" }]\npackages = 0\n'
    )
    (folder / "pylock.toml").write_text(seal(body, "sha256:" + "0" * 64))
    ran = minglibc(command, "--lock", str(folder / "pylock.toml"))
    assert ran.code == 1
    assert "outside its folder" in ran.err
    assert "s3cr3t" not in ran.out + ran.err


def test_local_projects(tmp_path: Path, index: IndexServer) -> None:
    """`-e PATH`, `.` and paths are path dependencies, relative to the file; a change of one makes the lock stale."""
    for name in ("a", "b", "in-extra", "of-poetry"):
        index.add(build_wheel(name, "1.0"))
    text = '[project]\nname = "{}"\nversion = "1"\ndependencies = ["{}"]\n'
    extra = '[project.optional-dependencies]\nmore = ["in-extra"]\n'
    (tmp_path / "pyproject.toml").write_text(text.format("Own", "a") + extra)
    folders = tmp_path / "requirements", tmp_path / "lib", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text(text.format("lib", "b"))
    poetry = '[tool.poetry]\nname = "other"\nversion = "1"\n[tool.poetry.dependencies]\nof-poetry = "^1"\n'
    (tmp_path / "other" / "pyproject.toml").write_text(poetry)
    file = tmp_path / "requirements" / "all.txt"
    file.write_text("-e ..[more]\n../lib ; python_version >= '3.8'\n--editable=../other  # comment\n")
    lock = tmp_path / "pylock.toml"
    options = [
        "lock",
        "-r",
        str(file),
        "-o",
        str(lock),
        "--index-url",
        index.url,
        "--glibc",
        "2.28",
        "--python",
        "3.11",
    ]
    ran = minglibc(*options)
    assert ran.code == 0, ran.err
    folders_by_name = {p.name: p.directory for p in read_lock(tmp_path).pylock.packages if p.directory}
    assert {name: (d.path, bool(d.editable)) for name, d in folders_by_name.items()} == {
        "own": (".", True),
        "lib": ("lib", False),
        "other": ("other", True),
    }
    assert {*locked_versions(tmp_path)} == {"a", "b", "in-extra", "of-poetry"}
    assert "up to date" in minglibc(*options).err
    (tmp_path / "lib" / "pyproject.toml").write_text(text.format("lib", "a"))
    assert minglibc(*options, "--check").code == 1
