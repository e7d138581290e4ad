"""Sources in the tables of uv and Poetry are read or refused: a public project of the same name never replaces them."""

from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.config.settings import PathSource
from minglibc.errors import SettingsError
from minglibc.model.requirements import Environment
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

HEAD = """[project]
name = "demo"
version = "1"
requires-python = ">=3.9"
dependencies = ["lib>=1", "plain"]
[project.optional-dependencies]
more = ["in-extra"]
[dependency-groups]
dev = ["In_Group"]
[tool.minglibc]
glibc = "2.28"
python = "3.11"
"""


def problem(text: str) -> str:
    """The message of the invalid pyproject.toml with *text* at its end."""
    with pytest.raises(SettingsError) as refused:
        parse(HEAD + text, folder=".")
    return refused.value.message


@pytest.mark.parametrize(
    ("name", "value", "kind", "advice"),
    [
        ("lib", '{ git = "https://git.example.invalid/lib" }', "a Git repository", "path of a checkout"),
        ("lib", '{ git = "https://git.example.invalid/lib", tag = "1" }', "a Git repository", "build a wheel"),
        ("lib", "{ workspace = true }", "not a member of a workspace here", 'lib = { path = "packages/lib" }'),
        ("lib", '{ url = "https://files.example.invalid/lib-1.tar.gz" }', "a URL", "lib @ https://files"),
        ("lib", '{ index = "internal" }', "an index", "[[tool.minglibc.index]]"),
        ("lib", '[{ index = "a", marker = "python_version > \'3.9\'" }]', "an index", ""),
        ("Lib", '{ git = "https://git.example.invalid/lib" }', "a Git repository", ""),
        ("in-extra", "{ workspace = true }", "not a member of a workspace here", ""),
        ("in-group", "{ workspace = true }", "not a member of a workspace here", ""),
    ],
)
def test_sources_of_uv_are_refused(name: str, value: str, kind: str, advice: str) -> None:
    """The message names the source, its line and what to write."""
    message = problem(f"[tool.uv.sources]\n{name} = {value}\n")
    assert f"tool.uv.sources.{name}" in message
    assert "line" in message
    assert f"is {kind}, which minglibc does not read" in message
    assert advice in message


@pytest.mark.parametrize(
    "value", ['{ git = "https://h.invalid/lib" }', '{ source = "internal" }', '{ url = "https://h.invalid/l.zip" }']
)
def test_sources_of_poetry_are_refused(value: str) -> None:
    """The same for tables of Poetry; its plain versions are those of [project]."""
    assert "tool.poetry.dependencies.lib" in problem(f"[tool.poetry.dependencies]\nlib = {value}\n")
    parse(HEAD + '[tool.poetry.dependencies]\nlib = "^1"\nplain = { version = "^1", extras = ["x"] }\n')


def test_path_sources_of_uv_are_read() -> None:
    """A path source without conditions is one of minglibc's."""
    settings = parse(HEAD + '[tool.uv.sources]\nlib = { path = "libs/lib", editable = true }\nplain = { path = "p" }\n')
    assert settings.paths == {"lib": PathSource("libs/lib", editable=True), "plain": PathSource("p")}


INDEX = '[[tool.uv.index]]\nname = "internal"\nurl = "https://index.example.invalid/simple"\nexplicit = true\n'


def test_index_sources_of_uv_are_read() -> None:
    """A package is pinned to the index, if the source applies to the targets."""
    source = "[tool.uv.sources]\nlib = "
    for value in ('{ index = "internal" }', '[{ index = "internal", marker = "sys_platform == \'linux\'" }]'):
        settings = parse(f"{HEAD}{source}{value}\n{INDEX}")
        assert settings.sources == {"lib": "internal"}
        (index,) = settings.indexes
        assert (index.name, index.url, index.explicit) == ("internal", "https://index.example.invalid/simple", True)
        assert not settings.warnings
    settings = parse(f'{HEAD}{source}[{{ index = "internal", marker = "sys_platform == \'win32\'" }}]\n{INDEX}')
    assert settings.sources == {}


def test_wheel_sources_of_uv_are_read() -> None:
    """The URL of a wheel replaces the version."""
    url = "https://files.example.invalid/lib-1-py3-none-any.whl"
    settings = parse(f'{HEAD}[tool.uv.sources]\nlib = {{ url = "{url}" }}\n')
    assert [requirement.url for requirement in settings.requirements] == [url, ""]


def test_wheel_sources_that_differ_by_target() -> None:
    """Each target gets its own URL; without one, the default index has the package."""
    address = "https://files.example.invalid/lib-1-cp{0}-cp{0}-linux_x86_64.whl"
    entry = '{{ url = "{}", marker = "python_version == \'3.{}\'" }}'
    sources = ", ".join(entry.format(address.format(f"3{minor}"), minor) for minor in (11, 12))
    text = HEAD.replace('python = "3.11"', 'python = ["3.11", "3.12", "3.13"]')
    settings = parse(f"{text}[tool.uv.sources]\nlib = [{sources}]\n")
    for target in settings.targets:
        environment = Environment(target.environment)
        (lib,) = [r for r in settings.requirements if r.name == "lib" and environment.admits(r.marker)]
        minor = target.python.minor
        assert lib.url == (address.format(f"3{minor}") if minor < 13 else "")
        assert lib.specifier == ("" if minor < 13 else ">=1")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            '[{ index = "internal", extra = "more" }]',
            "is the default index for the project, index 'internal' for the extra more",
        ),
        ('[{ index = "internal", group = "dev" }]', "under [tool.minglibc.sources]"),
        ('[{ index = "internal", marker = "what" }]', "has an invalid marker"),
        ('{ path = "libs/lib", marker = "python_version < \'3.12\'" }', "is not the same for all targets"),
        ("[1]", "is not a table of a source"),
    ],
)
def test_conditional_sources_of_uv(value: str, message: str) -> None:
    """A source must be the same for all targets, extras and groups."""
    table = f"[tool.uv.sources]\nlib = {value}\n{INDEX}"
    head = HEAD.replace('"in-extra"', '"in-extra", "lib"').replace('"In_Group"', '"In_Group", "lib"')
    text = head.replace('python = "3.11"', 'python = ["3.11", "3.12"]') + table
    with pytest.raises(SettingsError) as refused:
        parse(text)
    assert message in refused.value.message


def test_own_sources_override() -> None:
    """Entries of [tool.minglibc.sources], and sources of packages that nothing requires, are no problem."""
    own = '[tool.minglibc.sources]\nlib = { path = "libs/lib" }\n'
    settings = parse(
        HEAD + own + '[tool.uv.sources]\nlib = { workspace = true }\nunused = { git = "https://h.invalid" }\n'
    )
    assert settings.paths == {"lib": PathSource("libs/lib")}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[tool.uv]\nprerelease = "always"\n', "tool.uv.prerelease is not read: expected one of allow"),
        ('[tool.uv]\nconflicts = [[{ extra = "a" }, { extra = "b" }]]\n', "tool.uv.conflicts is not read: all extras"),
    ],
)
def test_unread_tables_are_warned_of(table: str, message: str) -> None:
    """Rules of other tools that are not read are named in a warning."""
    (warning,) = parse(HEAD + table).warnings
    assert message in warning


def test_public_project_does_not_replace_a_source(index: IndexServer, tmp_path: Path) -> None:
    """From the command line: with a workspace source nothing is locked; a path source is, and a change makes the lock stale."""
    for name in ("lib", "plain", "in-extra", "in-group"):
        index.add(build_wheel(name, "99.0"))
    library = tmp_path / "libs" / "lib"
    library.mkdir(parents=True)
    (library / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1.5"\n', encoding="utf-8")
    pyproject = tmp_path / "pyproject.toml"
    sources = f'index-url = "{index.url}"\n[tool.uv.sources]\nlib = '
    pyproject.write_text(f"{HEAD}{sources}{{ workspace = true }}\n", encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    assert ran.code == 2
    assert not (tmp_path / "pylock.toml").exists()
    pyproject.write_text(f'{HEAD}{sources}{{ path = "libs/lib" }}\n', encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    assert ran.code == 0, ran.err
    assert "lib" not in {name for name, version in locked_versions(tmp_path).items() if version == "99.0"}
    pyproject.write_text(f'{HEAD}{sources}{{ path = "libs/other" }}\n', encoding="utf-8")
    assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 1
    pyproject.write_text(f'{HEAD}{sources}{{ git = "https://h.invalid/lib" }}\n', encoding="utf-8")
    assert minglibc("lock", "--project", str(tmp_path)).code == 2


def test_sources_of_scripts(tmp_path: Path) -> None:
    """The sources of a script's block are refused too."""
    script = tmp_path / "tool.py"
    lines = ['dependencies = ["lib"]', "[tool.uv.sources]", 'lib = { git = "https://h.invalid/lib" }']
    script.write_text("".join(f"# {line}\n" for line in ["/// script", *lines, "///"]), encoding="utf-8")
    ran = minglibc("lock", "--script", str(script), "--glibc", "2.28", "--python", "3.11")
    assert ran.code == 2
    assert "a Git repository" in ran.err


# ---- markers, constraints and overrides


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dep; platform_release >= '5'", "depends on platform_release, which targets do not have"),
        ("dep; 'tegra' in platform_version", "depends on platform_version"),
        ("dep; extra == 'x'", "tests an extra, which is never requested here"),
    ],
)
def test_markers_that_are_never_true(text: str, message: str) -> None:
    """They are warned of in dependencies and constraints."""
    for field in ("dependencies", "constraints"):
        head = HEAD.replace('"plain"', f'"{text}"') if field == "dependencies" else f'{HEAD}constraints = ["{text}"]\n'
        (warning,) = parse(head).warnings
        assert message in warning


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('constraints = ["bar @ https://h.invalid/bar-1.0-py3-none-any.whl"]', "without URL and extras"),
        ('constraints = ["bar[x]<2"]', "without URL and extras"),
        ('overrides = ["bar==1.0", "bar==2.0"]', "of which only one can apply"),
        ('overrides = ["bar==1.0; python_version > \'3.0\'", "bar==2.0"]', "of which only one can apply"),
    ],
)
def test_settings_that_cannot_apply(line: str, message: str) -> None:
    """They are problems."""
    assert message in problem(f"{line}\n")


def test_overrides_for_different_targets() -> None:
    """Overrides of one package may differ by target, and be repeated."""
    parse(
        f'{HEAD}overrides = ["bar==1; python_version < \'3.10\'", "bar==2; python_version >= \'3.10\'", "a<2", "a<2"]\n'
    )
