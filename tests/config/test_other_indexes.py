"""Indexes in the tables of uv, PDM and Poetry are used as those of [tool.minglibc], or refused: never the public one instead."""

from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.config.settings import Settings
from minglibc.errors import SettingsError
from tests.support.commands import locked_versions, minglibc
from tests.support.index import Answer, IndexServer
from tests.support.wheels import build_wheel

HEAD = """[project]
name = "demo"
version = "1"
requires-python = ">=3.9"
dependencies = ["lib", "plain"]
[project.optional-dependencies]
cpu = ["torch"]
cu = ["torch"]
[tool.minglibc]
glibc = "2.28"
python = "3.11"
"""
URL = "https://{}.example.invalid/simple"


def uv(*indexes: str) -> str:
    """An index of uv for each name, with the keys that follow it."""
    tables = ""
    for index in indexes:
        name, *keys = index.split()
        lines = "\n".join(f"{key} = true" for key in keys)
        tables += f'[[tool.uv.index]]\nname = "{name}"\nurl = "{URL.format(name)}"\n{lines}\n'
    return tables


def order(settings: Settings) -> list[str]:
    """The indexes that a package without a pin comes from, in their order; the default one is in brackets."""
    general = [index for index in settings.indexes if not index.explicit]
    default = next((index.name for index in general if index.default), "pypi")
    before = [index.name for index in general if not index.default and not index.after]
    return [*before, f"[{default}]", *(index.name for index in general if index.after)]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (uv("a", "b explicit", "c"), ["a", "c", "[pypi]"]),
        (uv("a default", "b"), ["b", "[a]"]),
        ('[[tool.uv.index]]\nurl = "https://a.example.invalid/simple"\n', ["uv-index-1", "[pypi]"]),
        (f'[tool.uv]\nindex-url = "{URL}"\n', ["[uv-index-url]"]),
        (f'[tool.uv]\nindex-url = "{URL}"\n{uv("a default")}', ["[a]"]),
        (f'[tool.uv]\nextra-index-url = ["{URL}"]\n{uv("a")}', ["a", "uv-extra-index-1", "[pypi]"]),
        ('[tool.uv]\nfind-links = ["./wheels"]\n', ["uv-find-links-1", "[pypi]"]),
        (
            f'[tool.uv]\nfind-links = ["wheels", "more"]\nno-index = true\n{uv("a")}',
            ["uv-find-links-1", "[uv-find-links-2]"],
        ),
    ],
)
def test_indexes_of_uv(table: str, expected: list[str]) -> None:
    """They are used in uv's order; an explicit one only for packages that name it."""
    settings = parse(HEAD + table.replace("{}", "x"))
    assert order(settings) == expected
    assert not settings.warnings


def poetry(*sources: str) -> str:
    """A source of Poetry for each name, with the priority that follows it."""
    tables = ""
    for source in sources:
        name, _, priority = source.partition(" ")
        url = "" if name == "PyPI" else f'url = "{URL.format(name)}"\n'
        tables += f'[[tool.poetry.source]]\nname = "{name}"\n{url}'
        tables += f'priority = "{priority}"\n' if priority else ""
    return tables


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a"], ["[a]"]),
        (["a", "b primary"], ["a", "[b]"]),
        (["a supplemental"], ["[pypi]", "a"]),
        (["a secondary", "b explicit"], ["[pypi]", "a"]),
        (["a", "PyPI"], ["a", "[pypi]"]),
        (["PyPI primary", "a"], ["[pypi]", "a"]),
        (["a", "PyPI supplemental"], ["[a]", "PyPI"]),
        (["b", "a default", "c supplemental"], ["a", "[b]", "c"]),
        (["a explicit"], ["[pypi]"]),
    ],
)
def test_indexes_of_poetry(sources: list[str], expected: list[str]) -> None:
    """Primary ones replace PyPI, supplemental ones come after it."""
    assert order(parse(HEAD + poetry(*sources))) == expected


def pdm(name: str, keys: str = "", url: str = "https://a.example.invalid/simple") -> str:
    """A source of PDM."""
    return f'[[tool.pdm.source]]\nname = "{name}"\nurl = "{url}"\n{keys}\n'


@pytest.mark.parametrize(
    ("table", "expected", "pins"),
    [
        (pdm("a"), ["a", "[pypi]"], {}),
        (pdm("pypi"), ["[pypi]"], {}),
        (pdm("a", 'include_packages = ["Lib", "x-*"]'), ["a", "[pypi]"], {"lib": "a"}),
        (pdm("a", 'include_packages = ["lib"]\nexclude_packages = ["*"]'), ["[pypi]"], {"lib": "a"}),
        (pdm("a", 'type = "find_links"'), ["a", "[pypi]"], {}),
    ],
)
def test_indexes_of_pdm(table: str, expected: list[str], pins: dict[str, str]) -> None:
    """They come before PyPI, which the one named pypi replaces."""
    settings = parse(HEAD + table)
    assert (order(settings), settings.sources) == (expected, pins)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tool.uv]\nno-index = true\n", "tool.uv.no-index (line 13) leaves no index"),
        ('[[tool.uv.index]]\nname = "a"\nurl = "./simple"\n', 'add format = "flat"'),
        ('[[tool.uv.index]]\nname = "a"\n', "tool.uv.index[0].url"),
        ('[tool.uv]\nindex = "https://h.invalid"\n', "expected tables: [[tool.uv.index]]"),
        ('[tool.uv]\nextra-index-url = ["h.invalid?x"]\n', "tool.uv.extra-index-url[0] (line 13)"),
        (uv("a", "a"), "the name of an earlier index"),
        (poetry("a first"), 'expected one of "default", "primary", "supplemental", "explicit"'),
        (poetry("a").replace("url", "uri"), "tool.poetry.source[0].url"),
        (pdm("a", url="https://${ME}:${SECRET}@h.invalid/simple"), "contains a variable"),
        (pdm("a", 'exclude_packages = ["x"]'), "has patterns of packages"),
        (pdm("a", 'include_packages = ["x-*"]\nexclude_packages = ["*"]'), "has patterns of packages"),
    ],
)
def test_what_no_index_can_mean_is_refused(table: str, message: str) -> None:
    """The message names the key; PyPI is not used instead."""
    with pytest.raises(SettingsError) as refused:
        parse(HEAD + table)
    assert message in refused.value.message


def test_own_indexes_take_precedence() -> None:
    """With indexes in [tool.minglibc], those of uv are only for the packages that name them."""
    own = f'[[tool.minglibc.index]]\nname = "own"\nurl = "{URL}"\n[tool.minglibc.sources]\nplain = {{ index = "b" }}\n'
    sources = '[tool.uv.sources]\nlib = { index = "a" }\ntorch = { index = "Own" }\n'
    settings = parse(HEAD + own.replace("{}", "own") + sources + uv("a", "b", "c", "Own"))
    assert order(settings) == ["own", "[pypi]"]
    assert settings.sources == {"lib": "a", "torch": "own", "plain": "b"}
    assert [index.name for index in settings.indexes] == ["own", "a", "b"]


def test_one_tool_has_the_indexes() -> None:
    """Those of another tool are only for the packages that name them, with a warning."""
    settings = parse(HEAD + uv("a") + poetry("b"))
    assert order(settings) == ["a", "[pypi]"]
    assert settings.warnings == (
        "tool.poetry.source is only read for the packages that name it, because there is tool.uv.index",
    )


def test_password_is_not_shown() -> None:
    """As in [[tool.minglibc.index]], a password in the file is used, with a warning."""
    (warning,) = parse(f"{HEAD}{uv('a').replace('https://', 'https://user:secret@')}").warnings
    assert "tool.uv.index[0].url contains credentials" in warning
    assert "secret" not in warning


SOURCES = '[tool.uv.sources]\ntorch = [{ index = "a", extra = "cpu" }, { index = "b", extra = "cu" }]\n'


def test_sources_of_extras() -> None:
    """Extras with different indexes for one package are refused; a setting selects one."""
    indexes = uv("a explicit", "b explicit")
    with pytest.raises(SettingsError) as refused:
        parse(HEAD + SOURCES + indexes)
    assert "is index 'a' for the extra cpu, index 'b' for the extra cu, while a lock has one" in refused.value.message
    assert 'write torch = { index = "a" } under [tool.minglibc.sources]' in refused.value.message
    settings = parse(f'{HEAD}[tool.minglibc.sources]\ntorch = {{ index = "a" }}\n{SOURCES}{indexes}')
    assert settings.sources == {"torch": "a"}
    settings = parse(HEAD.replace('cu = ["torch"]', "cu = []") + SOURCES + indexes)
    assert settings.sources == {"torch": "a"}


def test_private_package_of_uv(index: IndexServer, tmp_path: Path) -> None:
    """From the command line: the index of uv comes first, an explicit one has its packages only, and no failure is skipped."""
    for name in ("lib", "plain", "torch"):
        index.add(build_wheel(name, "99.0"))
    pyproject = tmp_path / "pyproject.toml"
    table = '[[tool.uv.index]]\nname = "a"\nurl = "{}"\n{}'
    arguments = ["lock", "--project", str(tmp_path), "--index-url", index.url]
    with IndexServer() as private:
        private.add(build_wheel("lib", "1.0"))
        private.add(build_wheel("torch", "2.0"))
        pyproject.write_text(HEAD + table.format(private.url, ""), encoding="utf-8")
        ran = minglibc(*arguments)
        assert ran.code == 0, ran.err
        assert locked_versions(tmp_path) == {"lib": "1.0", "plain": "99.0", "torch": "2.0"}
        sources = '[tool.uv.sources]\ntorch = { index = "a" }\n'
        pyproject.write_text(HEAD + sources + table.format(private.url, "explicit = true\n"), encoding="utf-8")
        assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 1
        assert minglibc(*arguments, "--upgrade").code == 0
        assert locked_versions(tmp_path) == {"lib": "99.0", "plain": "99.0", "torch": "2.0"}
        private.fault("*/plain/", lambda exchange: exchange.send(Answer(503)))
        pyproject.write_text(HEAD + table.format(private.url, ""), encoding="utf-8")
        assert minglibc(*arguments, "--refresh").code == 3
