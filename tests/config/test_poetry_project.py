"""Projects of Poetry: [tool.poetry] is read as [project] and [dependency-groups]."""

from pathlib import Path

import pytest

from minglibc.config import poetry_syntax
from minglibc.config.parser import parse
from minglibc.config.settings import PathSource
from minglibc.errors import SettingsError
from minglibc.lock.digest import fingerprint
from minglibc.model import versions
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

SETTINGS = '[tool.minglibc]\nglibc = "2.28"\n'
HEAD = '[tool.poetry]\nname = "Demo"\nversion = "1.0"\n'
PYTHON = '[tool.poetry.dependencies]\npython = ">=3.11,<3.13"\n'


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("*", ""),
        ("1.2", "==1.2"),
        ("=1.2", "==1.2"),
        ("1.*", "==1.*"),
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0.0", ">=0.0,<0.1"),
        ("^0", ">=0,<1"),
        ("^1.0b2", ">=1.0b2,<2"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.2", "~=1.2"),
        (">= 1.2, < 2", ">=1.2,<2"),
        (">=1.2 <2", ">=1.2,<2"),
        ("!=1.5", "!=1.5"),
        ("^1 || ^2", ">=1,<3"),
        ("^1 | ^3", ">=1,!=2.*,<4"),
        ("~1.2 || ~1.5 || >=1.7", ">=1.2,!=1.3.*,!=1.4.*,!=1.6.*"),
        (">=2 || <1", "!=1.*"),
        ("1.2.* || 1.4.*", ">=1.2,!=1.3.*,<1.5"),
    ],
)
def test_versions(constraint: str, specifier: str) -> None:
    """Poetry's constraints become specifiers."""
    assert specifier == poetry_syntax.specifier(constraint)
    versions.contains(specifier, "1")


def test_alternatives_contain_the_same_versions() -> None:
    """A union contains a version if one of its alternatives does."""
    releases = [f"{major}.{minor}" for major in range(6) for minor in range(12)]
    for alternatives in (["^1", "^4"], ["~1.2", "~1.10"], [">=5", "<2"], ["^0.3", "~0.7", "^0.9"], ["3.*", "^2.5"]):
        union = poetry_syntax.specifier(" || ".join(alternatives))
        for release in releases:
            expected = any(versions.contains(poetry_syntax.specifier(one), release) for one in alternatives)
            assert versions.contains(union, release) == expected, (union, release)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("latest", "not a version in Poetry's syntax"),
        ("^x", "not a version in Poetry's syntax"),
        ("==1.2 || ==1.5", "keep one of them"),
        ("^1.2 || ~3.5", "keep one of them"),
    ],
)
def test_invalid_versions(constraint: str, message: str) -> None:
    """What can't be converted is named with its key and line."""
    with pytest.raises(SettingsError) as refused:
        parse(f'{HEAD}{PYTHON}lib = "{constraint}"\n{SETTINGS}')
    assert "tool.poetry.dependencies.lib (line 6)" in refused.value.message
    assert message in refused.value.message


def test_project_of_poetry() -> None:
    """Dependencies, extras, groups and the Pythons are read."""
    settings = parse(
        f"""{HEAD}{PYTHON}Lib = "^1.2"
alternatives = [{{ version = "<2", python = "<3.12" }}, {{ version = "^2", python = "^3.12", platform = "linux" }}]
fast = {{ version = "*", optional = true, extras = ["a", "b"] }}
early = {{ version = "^1", allow-prereleases = true, markers = "os_name == 'posix'" }}
[tool.poetry.extras]
speed = ["fast"]
[tool.poetry.group.Test.dependencies]
tester = "*"
[tool.poetry.group.all]
optional = true
include-groups = ["test"]
[tool.poetry.group.all.dependencies]
documenter = "^3"
[tool.poetry.dev-dependencies]
old = "*"
[dependency-groups]
dev = ["new"]
{SETTINGS}"""
    )
    assert settings.project == "demo"
    assert settings.requires_python == ">=3.11,<3.13"
    assert ["3.11", "3.12"] == [str(target.python) for target in settings.targets]
    assert [
        "lib>=1.2,<2",
        'alternatives<2; python_version < "3.12"',
        'alternatives>=2,<3; python_version >= "3.12" and python_version < "4" and sys_platform == "linux"',
        "early>=1,<2; os_name == 'posix'",
    ] == [*map(str, settings.requirements)]
    assert ["fast[a,b]"] == [*map(str, settings.extras["speed"])]
    groups = {name: [str(requirement) for requirement in listed] for name, listed in settings.groups.items()}
    assert groups == {"test": ["tester"], "all": ["tester", "documenter>=3,<4"], "dev": ["new", "old"]}
    assert settings.prereleases == frozenset(["early"])
    assert not settings.warnings


@pytest.mark.parametrize(
    ("constraint", "requires_python"),
    [("~2.7 || ^3.6", ">=3.6,<4"), (">=3.9,<3.11 || >=3.12", ">=3.9,!=3.11.*"), ("3.11.*", "==3.11.*")],
)
def test_python_constraint(constraint: str, requires_python: str) -> None:
    """Alternatives are combined; those for Python 2 are left out."""
    assert (
        requires_python
        == parse(f'{HEAD}[tool.poetry.dependencies]\npython = "{constraint}"\n{SETTINGS}').requires_python
    )


def test_project_table_has_priority() -> None:
    """With dependencies in [project], Poetry's table only names sources; without them, it has the dependencies."""
    project = '[project]\nname = "demo"\nrequires-python = ">=3.11,<3.12"\n'
    table = '[tool.poetry.dependencies]\nlib = { version = "^2", path = "libs/lib", develop = true }\nother = "*"\n'
    standard = parse(f'{project}dependencies = ["lib>=1"]\n{table}{SETTINGS}')
    assert ["lib>=1"] == [*map(str, standard.requirements)]
    assert {"lib": PathSource("libs/lib", editable=True)} == standard.paths
    dynamic = parse(f'{project}dynamic = ["dependencies"]\n{table}{SETTINGS}')
    assert ["lib>=2,<3", "other"] == [*map(str, dynamic.requirements)]
    wheel = "https://files.example.invalid/lib-1-py3-none-any.whl"
    url = parse(
        f'{project}dependencies = ["lib>=1"]\n[tool.poetry.dependencies]\nlib = {{ url = "{wheel}" }}\n{SETTINGS}'
    )
    assert [wheel] == [requirement.url for requirement in url.requirements]


def test_another_build_backend(tmp_path: Path) -> None:
    """Only Poetry's build backend reads Poetry's dependencies; its groups are read in any case."""
    (tmp_path / "requirements.txt").write_text("lib>=1\n", encoding="utf-8")
    project = '[project]\nname = "demo"\nrequires-python = ">=3.11,<3.12"\ndynamic = ["dependencies"]\n'
    backend = '[build-system]\nbuild-backend = "setuptools.build_meta"\nrequires = ["setuptools"]\n'
    dynamic = '[tool.setuptools.dynamic]\ndependencies = { file = "requirements.txt" }\n'
    group = '[tool.poetry.group.dev.dependencies]\ntester = "*"\n'
    settings = parse(f'{project}{backend}{dynamic}{HEAD}{PYTHON}lib = "^2"\n{group}{SETTINGS}', folder=str(tmp_path))
    assert ["lib>=1"] == [*map(str, settings.requirements)]
    assert ["tester"] == [*map(str, settings.groups["dev"])]


def test_sources() -> None:
    """Paths and named indexes are read, also in groups; Git repositories are refused by name."""
    index = '[[tool.poetry.source]]\nname = "internal"\nurl = "https://index.example.invalid/simple"\npriority = "explicit"\n'
    group = '[tool.poetry.group.dev.dependencies]\nlocal = { path = "libs/local" }\n'
    settings = parse(
        f'{HEAD}{PYTHON}lib = {{ version = "^1", source = "internal" }}\nx = {{ version = "1", source = "PyPI" }}\n{group}{index}{SETTINGS}'
    )
    assert {"lib": "internal"} == settings.sources
    assert {"local": PathSource("libs/local")} == settings.paths
    assert not settings.warnings
    with pytest.raises(SettingsError) as refused:
        parse(f'{HEAD}{PYTHON}lib = {{ git = "https://git.example.invalid/lib", tag = "1" }}\n{SETTINGS}')
    assert (
        "tool.poetry.dependencies.lib (line 6) is a Git repository, which minglibc does not read"
        in refused.value.message
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('lib = { version = "1", marker = "x" }', "has the key marker, which is not one of Poetry's"),
        ('lib = { version = "1", extras = "x" }', "has extras that are not a list of strings"),
        ("lib = 1", "which is not a string"),
        ('[tool.poetry.extras]\nx = ["lib"]', "lists 'lib', which is not an optional dependency"),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    """Mistakes in Poetry's tables are reported by key."""
    with pytest.raises(SettingsError) as refused:
        parse(f"{HEAD}{PYTHON}{line}\n{SETTINGS}")
    assert message in refused.value.message


def test_digest() -> None:
    """A lock becomes stale if a table of Poetry changes that it depends on."""
    text = f'{HEAD}{PYTHON}lib = "^1"\n{SETTINGS}'
    for changed in (
        text.replace("^1", "^2"),
        text.replace("3.11", "3.12"),
        text + "[tool.poetry.group.x.dependencies]\na = '*'\n",
    ):
        assert fingerprint(text) != fingerprint(changed)
    assert fingerprint(text) == fingerprint(text.replace('version = "1.0"', 'version = "2.0"'))


def test_commands(index: IndexServer, tmp_path: Path) -> None:
    """`lock`, `lock --check` and `tree` work; a path dependency of Poetry is read; `add` names what edits the file."""
    for name in ("lib", "inner"):
        index.add(build_wheel(name, "1.5"))
        index.add(build_wheel(name, "2.0"))
    library = tmp_path / "library"
    library.mkdir()
    (library / "pyproject.toml").write_text(
        HEAD.replace("Demo", "library") + '[tool.poetry.dependencies]\ninner = "^1"\n'
    )
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(
        f'{HEAD}{PYTHON}lib = "^1"\nlibrary = {{ path = "library" }}\n{SETTINGS}index-url = "{index.url}"\n'
    )
    assert minglibc("lock", "--project", str(tmp_path)).code == 0
    assert locked_versions(tmp_path) == {"lib": "1.5", "inner": "1.5"}
    assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 0
    for command in ("add", "remove"):
        refused = minglibc(command, "lib", "--project", str(tmp_path))
        assert refused.code == 2
        assert "the requirements are in [tool.poetry.dependencies], which minglibc reads and does not" in refused.err
    pyproject.write_text(pyproject.read_text().replace('lib = "^1"', 'lib = "^2"'))
    assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 1
