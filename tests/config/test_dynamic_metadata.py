"""Dynamic dependencies that files contain are read; those that only a build can tell are named."""

from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.config.settings import Settings
from minglibc.errors import SettingsError
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

HEAD = '[project]\nname = "demo"\nversion = "1"\nrequires-python = "==3.11.*"\n'
TABLE = '[tool.minglibc]\nglibc = "2.28"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def settings(folder: Path, text: str, *, table: str = TABLE, **contents: str) -> Settings:
    """The settings of a project with other files, whose names have "_" for "."."""
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return parse(HEAD + text + table, folder=str(folder))


def names(project: Settings) -> list[str]:
    """The names of the project's dependencies."""
    return [requirement.name for requirement in project.requirements]


@pytest.mark.parametrize("value", ['"base.txt"', '["base.txt", "more.txt"]'])
def test_files_of_setuptools(tmp_path: Path, value: str) -> None:
    """One file or several, with comments and blank lines."""
    text = f'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = {{ file = {value} }}\n'
    project = settings(tmp_path, text, base_txt="# comment\nlib>=1 # why\n\n", more_txt="other; python_version > '3'\n")
    assert names(project) == ["lib", "other"][: len(project.files)]
    assert project.files == ("base.txt", "more.txt")[: 2 if "more" in value else 1]


def test_extras_of_setuptools(tmp_path: Path) -> None:
    """Each extra has its own files, and may refer to the project's other extras."""
    text = (
        'dependencies = ["plain"]\ndynamic = ["optional-dependencies"]\n[tool.setuptools.dynamic.optional-dependencies]\n'
        'test = { file = ["test.txt"] }\nall = { file = "all.txt" }\n'
    )
    project = settings(tmp_path, text, test_txt="pytest\n", all_txt="demo[test]\nlib\n")
    assert {extra: [r.name for r in listed] for extra, listed in project.extras.items()} == {
        "test": ["pytest"],
        "all": ["pytest", "lib"],
    }


def test_setup_cfg(tmp_path: Path) -> None:
    """The lists of setup.cfg, and the files that it names."""
    text = f'dynamic = ["dependencies", "optional-dependencies"]\n{SETUPTOOLS}'
    config = "[options]\ninstall_requires =\n    lib>=1\n    other\n[options.extras_require]\nx = file: x.txt\n"
    project = settings(tmp_path, text, setup_cfg=config, x_txt="more\n")
    assert names(project) == ["lib", "other"]
    assert [requirement.name for requirement in project.extras["x"]] == ["more"]
    assert project.files == ("setup.cfg", "x.txt")


def test_hatch_requirements_txt(tmp_path: Path) -> None:
    """The files of the plugin, and its extras."""
    text = (
        'dynamic = ["dependencies", "optional-dependencies"]\n[tool.hatch.metadata.hooks.requirements_txt]\n'
        'files = ["base.txt"]\n[tool.hatch.metadata.hooks.requirements_txt.optional-dependencies]\nx = ["x.txt"]\n'
    )
    project = settings(tmp_path, text, base_txt="lib\n", x_txt="more\n")
    assert names(project) == ["lib"]
    assert [requirement.name for requirement in project.extras["x"]] == ["more"]


@pytest.mark.parametrize(
    ("text", "content", "message"),
    [
        (
            "",
            None,
            'which only a build can tell; write project.dependencies, allow a build with allow-sdist = ["demo"]',
        ),
        ("", "lib\n", "or lock a requirements file: `minglibc lock -r requirements.txt`"),
        ('{ file = "requirements.txt" }', None, "refers to requirements.txt, which does not exist"),
        ('{ file = "../requirements.txt" }', None, "which is outside the project's folder"),
        (
            '{ file = "requirements.txt" }',
            "lib\nnot a requirement\n",
            "whose line 2 'not a requirement' is not a valid",
        ),
        ('{ file = "requirements.txt" }', "-r other.txt\n", "whose line 1 is an option of pip"),
        ('{ file = "requirements.txt" }', "lib @ https://u:${SECRET}@h.invalid/x.whl\n", "line 1 uses ${SECRET}"),
        ("{ file = 1 }", None, "is the number 1; expected the paths"),
        ('{ attr = "demo.DEPENDENCIES" }', None, "is missing; expected the paths"),
    ],
)
def test_problems(tmp_path: Path, text: str, content: str | None, message: str) -> None:
    """The message names the key, the file and the line, and what to do."""
    table = f"[tool.setuptools.dynamic]\ndependencies = {text}\n" if text else ""
    files = {} if content is None else {"requirements_txt": content}
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, f'dynamic = ["dependencies"]\n{table}', **files)
    assert message in refused.value.message


def test_field_that_is_static_too(tmp_path: Path) -> None:
    """A field can't be both."""
    with pytest.raises(SettingsError, match="which \\[project\\] has as well"):
        settings(tmp_path, 'dependencies = []\ndynamic = ["dependencies"]\n')


def test_a_changed_file_makes_the_lock_stale(tmp_path: Path, index: IndexServer) -> None:
    """From the command line, for the project and for a path dependency."""
    for name in ("lib", "other", "deep"):
        index.add(build_wheel(name, "1.0"))
    dynamic = 'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = { file = "requirements.txt" }\n'
    sources = f'index-url = "{index.url}"\n[tool.minglibc.sources]\npart = {{ path = "part" }}\n'
    (tmp_path / "pyproject.toml").write_text(HEAD + dynamic + TABLE + sources, encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("lib\npart\n", encoding="utf-8")
    part = tmp_path / "part"
    part.mkdir()
    (part / "pyproject.toml").write_text(HEAD.replace("demo", "part") + dynamic, encoding="utf-8")
    (part / "requirements.txt").write_text("deep\n", encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    assert ran.code == 0, ran.err
    assert {"lib", "deep"} <= locked_versions(tmp_path).keys()
    for path, text in ((part, "other\n"), (tmp_path, "lib\npart\nother\n")):
        (path / "requirements.txt").write_text(text, encoding="utf-8")
        ran = minglibc("lock", "--check", "--project", str(tmp_path))
        assert ran.code == 1
        assert "requirements.txt has changed" in ran.err
        assert minglibc("lock", "--project", str(tmp_path)).code == 0
    assert "deep" not in locked_versions(tmp_path)


def test_files_of_a_build(tmp_path: Path) -> None:
    """Where a build tells the dependencies, the lock depends on the hooks and requirements files that it probably reads."""
    text = 'dynamic = ["dependencies"]\n[tool.hatch.metadata.hooks.custom]\npath = "hooks.py"\n[tool.pdm.build]\ncustom-hook = "../x.py"\n'
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.in").write_text("lib\n", encoding="utf-8")
    project = settings(tmp_path, text, hooks_py="", setup_py="", other_txt="", table=TABLE + 'allow-sdist = ["demo"]\n')
    assert project.unbuilt == ("dependencies",)
    assert project.files == ("setup.py", "hooks.py", "requirements/base.in")
