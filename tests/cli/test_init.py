"""`minglibc init` on real files."""

# The expected value is on the left.

import os
import sys
import tomllib
from pathlib import Path

import pytest

from minglibc.cli import init
from minglibc.cli.args import ArgumentParser
from minglibc.config import parser
from minglibc.errors import SettingsError
from minglibc.model.targets import GlibcVersion
from tests.support import child
from tests.support.commands import minglibc
from tests.support.terminals import in_terminal

HERE = f"3.{sys.version_info.minor}"
PYPROJECT = """\
# ours
[project]
name = "x"   # odd

dependencies = ["a"]
requires-python = ">=3.9,<3.11"

[dependency-groups]
dev = ["ruff"]
"""


def run(folder: Path, *arguments: str) -> dict[str, object]:
    """The new table after `minglibc init`."""
    parser = ArgumentParser()
    parser.add_argument("--project")
    init.configure(parser)
    assert 0 == init.run(parser.parse_args(["--project", str(folder), *arguments]))
    table: dict[str, object] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8-sig"))["tool"][
        "minglibc"
    ]
    return table


def test_new_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new pyproject.toml can be locked at once, with the cap and this machine's Python."""
    folder = tmp_path / "my äpp"
    folder.mkdir()
    table = run(folder, "--glibc", "rhel-8")
    assert ("rhel-8", [HERE]) == (table["glibc"], table["python"])
    settings = parser.parse((folder / "pyproject.toml").read_text())
    assert ("my-pp", f">={HERE}") == (settings.project, settings.requires_python)
    assert 'glibc = "rhel-8"' in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", PYPROJECT])
def test_cap_is_required(tmp_path: Path, text: str) -> None:
    """Without --glibc and a terminal, the error has the table of distributions, and nothing is written."""
    if text:
        (tmp_path / "pyproject.toml").write_text(text)
    ran = child.run("init", "--project", str(tmp_path), variables={"COLUMNS": "60"})
    assert (2, "") == (ran.returncode, ran.stdout)
    assert "  2.28   AlmaLinux 8, " in ran.stderr
    assert "ldd --version" in ran.stderr
    table = ran.stderr.partition("hint:")[0].splitlines()[1:]
    assert max(map(len, table)) <= 60
    assert (["pyproject.toml"] if text else []) == os.listdir(tmp_path)
    assert not text or text == (tmp_path / "pyproject.toml").read_text()


def test_cap_is_asked_for(tmp_path: Path) -> None:
    """In a terminal, the table is printed and the cap is asked for, until it is valid or the input ends."""
    ran = in_terminal(["init", "--project", str(tmp_path)], "2\nubuntu-18.04\n")
    assert "  2.27   JetPack 4, Ubuntu 18.04" in ran.output
    assert "'2' is not a glibc version" in ran.output
    assert 0 == ran.code
    assert 'glibc = "ubuntu-18.04"' in (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").unlink()
    ran = in_terminal(["init", "--project", str(tmp_path)], "\x04")
    assert (2, []) == (ran.code, os.listdir(tmp_path))
    assert "nothing was changed" in ran.output


def test_requirements_file_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new project gets the requirements of requirements.in, else of requirements.txt."""
    (tmp_path / "requirements.txt").write_text(
        "# ours\na==1  # pinned\nb[x]>=2; python_version < '4'\n--only-binary :all:\n"
    )
    run(tmp_path, "--glibc", "2.17")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert ["a==1", "b[x]>=2; python_version < '4'"] == project["dependencies"]
    assert "Imported 2 requirements from requirements.txt" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "requirements.in").write_text("c\n")
    run(tmp_path, "--glibc", "2.17")
    assert ["c"] == tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["dependencies"]


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("setup.py", "", "write name, version and dependencies"),
        ("setup.cfg", "[options]\ninstall_requires =\n  a\n", 'dynamic = ["dependencies"]'),
        ("setup.cfg", "not an ini file", 'dynamic = ["dependencies"]'),
        ("Pipfile", "", "minglibc lock --from Pipfile.lock"),
        ("environment.yml", "", "conda channels"),
        ("requirements.txt", f"a==1 --hash=sha256:{'0' * 64}\n", "minglibc lock -r requirements.txt"),
        ("requirements.txt", "-r other.txt\n", "minglibc lock -r requirements.txt"),
        ("requirements.txt", "-e .\n", "minglibc lock -r requirements.txt"),
        ("requirements.in", "a=1\n", "minglibc lock -r requirements.in"),
    ],
)
def test_requirements_that_are_not_imported(tmp_path: Path, name: str, text: str, advice: str) -> None:
    """A folder with other requirements gets no empty project, and the error says what to do about each file."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError) as caught:
        run(tmp_path, "--glibc", "2.17")
    assert f"\n  {name}: " in caught.value.message
    assert advice in caught.value.message
    assert [name] == os.listdir(tmp_path)


def test_other_files_are_ignored(tmp_path: Path) -> None:
    """A setup.cfg that only configures other tools, and files beside a pyproject.toml, do not matter."""
    (tmp_path / "setup.cfg").write_text("[flake8]\nmax-line-length = 120\n")
    run(tmp_path, "--glibc", "2.17")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "setup.py").write_text("")
    run(tmp_path, "--glibc", "2.17")


def test_project_of_poetry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A project of Poetry only gets the table: its requirements are read where they are."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^3.9"\na = "*"\n'
    )
    run(tmp_path, "--glibc", "2.17", "--python", "3.9")
    assert "before `minglibc lock`" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", [PYPROJECT, PYPROJECT.rstrip(), PYPROJECT.replace("\n", "\r\n"), f"\ufeff{PYPROJECT}", ""]
)
def test_existing_content_is_kept(tmp_path: Path, text: str) -> None:
    """Comments, blank lines, line endings and the BOM are kept; the table is appended with the same line endings."""
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text.encode())
    run(tmp_path, "--glibc", "2.17")
    after = path.read_bytes().decode()
    assert after.startswith(text)
    assert ("\r\n" in text) == ("\r\n" in after)
    assert after.count("\r\n") in {0, after.count("\n")}


def test_options_take_precedence(tmp_path: Path) -> None:
    """The values of --glibc, --python and --arch are written."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    arguments = [
        "--glibc",
        "manylinux2014",
        "--python",
        "3.9",
        "--python",
        "3.10",
        "--arch",
        "x86_64",
        "--arch",
        "aarch64",
    ]
    expected = {"glibc": "manylinux2014", "python": ["3.9", "3.10"], "architectures": ["x86_64", "aarch64"]}
    assert expected == run(tmp_path, *arguments)


def test_requires_python_excludes_the_running_python(tmp_path: Path) -> None:
    """If requires-python excludes the running Python, the default versions are written."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("<3.11", "<3.11,!=" + HERE + ".*"))
    table = run(tmp_path, "--glibc", "2.17")
    assert list(table) == ["glibc", "python"]
    assert isinstance(table["python"], list)
    assert HERE not in table["python"]
    assert table["python"]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ('[tool.minglibc]\nglibc = "2.17"\n', [], "already has a [tool.minglibc] table"),
        ("a = [", [], "is not valid TOML"),
        ("tool = {}\n", [], "can't be added at the end"),
        ("tool = 1\n", [], "tool is not a table"),
        (PYPROJECT, ["--glibc", "2.x"], "'2.x' is not a glibc version"),
        (PYPROJECT, ["--glibc", "2.4"], "too old"),
        (PYPROJECT, ["--arch", "amd64"], "it is called x86_64"),
        (PYPROJECT, ["--python", "3.99"], "Python 3.99"),
        (PYPROJECT, ["--python", "3.12"], "outside project.requires-python >=3.9,<3.11"),
    ],
)
def test_errors_change_nothing(tmp_path: Path, text: str, arguments: list[str], message: str) -> None:
    """An error is reported, and the file is unchanged."""
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        run(tmp_path, *arguments)
    assert message in caught.value.message
    assert 2 == caught.value.exit_code
    assert (text, ["pyproject.toml"]) == (path.read_text(), os.listdir(tmp_path))


def test_missing_folder_is_not_created(tmp_path: Path) -> None:
    """--project with a path that does not exist creates no folder."""
    with pytest.raises(SettingsError, match="is not a folder"):
        run(tmp_path / "nowhere")


def test_settings_of_uv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equivalent settings are converted, others are named, and the result has the same meaning."""
    (tmp_path / "pyproject.toml").write_text(f"""{PYPROJECT}
[tool.uv]
constraint-dependencies = ["grpcio<1.65"]
override-dependencies = ["werkzeug==2.3.0"]
exclude-newer = "2026-01-01"
exclude-newer-package = {{ torch = "2025-01-01" }}
prerelease = "allow"
minimum-libc-version = {{ glibc = "2.27" }}
resolution = "lowest-direct"
package = true
[[tool.uv.index]]
url = "https://other.example.invalid/simple"
[[tool.uv.index]]
url = "https://example.invalid/simple"
default = true
""")
    table = run(tmp_path)
    assert {
        "glibc": "2.27",
        "constraints": ["grpcio<1.65"],
        "overrides": ["werkzeug==2.3.0"],
        "exclude-newer": "2026-01-01",
        "exclude-newer-package": {"torch": "2025-01-01"},
        "prereleases": True,
        "resolution": "lowest-direct",
        "default-groups": ["dev"],
        "index-url": "https://example.invalid/simple",
        "index": [{"name": "uv-index-1", "url": "https://other.example.invalid/simple"}],
    } == {key: value for key, value in table.items() if key != "python"}
    settings = parser.parse((tmp_path / "pyproject.toml").read_text())
    assert (GlibcVersion(2, 27), ("dev",)) == (settings.targets[0].cap, settings.default_groups)
    errors = capsys.readouterr().err
    assert "Imported tool.uv.minimum-libc-version as glibc" in errors
    assert "Skipped tool.uv.package" in errors
    assert "Imported tool.uv.index[0] as index" in errors


def test_indexes_and_sources_of_uv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named indexes and the sources that refer to them are converted; secrets, and what only uv supports, are not."""
    (tmp_path / "pyproject.toml").write_text(f"""{PYPROJECT}
[tool.uv.sources]
corp = {{ index = "works" }}
other = {{ index = "secret" }}
tool = {{ git = "https://example.invalid/tool.git" }}
[[tool.uv.index]]
name = "works"
url = "https://works.example.invalid/simple"
explicit = true
ignore-error-codes = [403]
[[tool.uv.index]]
name = "secret"
url = "https://me:hunter2@secret.example.invalid/simple"
[[tool.uv.index]]
name = "mirror"
url = "https://mirror.example.invalid/simple"
default = true
[[tool.uv.index]]
name = "wheels"
url = "https://wheels.example.invalid/"
format = "flat"
""")
    run(tmp_path, "--glibc", "2.27")
    text = (tmp_path / "pyproject.toml").read_text()
    settings = parser.parse(text)
    assert [("works", False, True, "simple"), ("mirror", True, False, "simple"), ("wheels", False, False, "flat")] == [
        (index.name, index.default, index.explicit, index.format) for index in settings.indexes
    ]
    assert {"corp": "works"} == settings.sources
    errors = capsys.readouterr().err
    for source in ("sources.other: its index", "sources.tool", "index[0].ignore-error-codes", "index[1]: it contains"):
        assert f"Skipped tool.uv.{source}" in errors
    assert "hunter2" not in errors + text.partition("[tool.minglibc]")[2]


def test_settings_of_pdm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PDM's overrides become requirements; its source named pypi becomes the index."""
    (tmp_path / "pyproject.toml").write_text(f"""{PYPROJECT}
[tool.pdm]
distribution = true
[tool.pdm.resolution]
allow-prereleases = true
excludes = ["six"]
overrides = {{ a = "1.0", b = ">=2" }}
[[tool.pdm.source]]
name = "pypi"
url = "https://example.invalid/simple"
""")
    table = run(tmp_path, "--glibc", "2.17")
    assert (["a==1.0", "b>=2"], ["six"], True) == (table["overrides"], table["excludes"], table["prereleases"])
    assert "https://example.invalid/simple" == table["index-url"]
    assert "Skipped tool.pdm.distribution" in capsys.readouterr().err


def test_secrets_and_invalid_values_are_not_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Credentials are neither copied nor printed, and a value that minglibc rejects is skipped with the reason."""
    (tmp_path / "pyproject.toml").write_text(f"""{PYPROJECT}
[tool.uv]
default-groups = []
index-url = "https://me:hunter2@example.invalid/simple"
constraint-dependencies = ["a=1"]
minimum-libc-version = {{ glibc = "2.17" }}
""")
    assert {"glibc", "default-groups"} == set(run(tmp_path, "--glibc", "2.28")) - {"python"}
    output = capsys.readouterr()
    assert "hunter2" not in output.out + output.err
    assert "Skipped tool.uv.constraint-dependencies: tool.minglibc.constraints[0] is 'a=1'" in output.err
    assert "Skipped tool.uv.minimum-libc-version: --glibc overrides it" in output.err


def test_problems_of_the_project_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A project that can't be locked yet gets its table, and a list of what is missing."""
    (tmp_path / "pyproject.toml").write_text("[tool.black]\nx = 1\n")
    run(tmp_path, "--glibc", "2.17")
    assert "project is missing" in capsys.readouterr().err


def test_workspace(tmp_path: Path) -> None:
    """The Pythons are those that all members support, and nothing is missing that `lock` reads itself."""
    (tmp_path / "backend").mkdir()
    member = '[project]\nname = "backend"\nversion = "1"\nrequires-python = ">=3.14"\n'
    (tmp_path / "backend" / "pyproject.toml").write_text(member, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["*"]\n', encoding="utf-8")
    ran = minglibc("init", "--project", str(tmp_path), "--glibc", "2.28")
    assert ran.code == 0, ran.err
    assert 'python = ["3.14"]' in ran.out + ran.err
    assert "tool.uv.workspace: `lock` reads it" in ran.out + ran.err
    assert "before `minglibc lock` can run" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("setup.py", "minglibc does not read setup.py; write [project] with name, version and dynamic"),
        ("requirements.txt", "run `minglibc lock -r requirements.txt`"),
    ],
)
def test_no_project_table(name: str, advice: str, tmp_path: Path) -> None:
    """Where pyproject.toml only configures a build, the message names the file that has the requirements."""
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n', encoding="utf-8")
    (tmp_path / name).write_text("", encoding="utf-8")
    ran = minglibc("init", "--project", str(tmp_path), "--glibc", "2.28")
    assert advice in ran.out + ran.err
