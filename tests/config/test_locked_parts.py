"""`no-extras` and `no-groups`: parts of the project that are not locked."""

from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.errors import SettingsError
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PROJECT = """[project]
name = "example"
version = "1"
requires-python = "==3.11.*"
[project.optional-dependencies]
A_x = ["numpy<2"]
b = ["numpy>=2"]
all = ["example[b]"]
[dependency-groups]
dev = ["pytest"]
docs = ["sphinx"]
[tool.minglibc]
glibc = "2.28"
"""


def test_parts_are_left_out() -> None:
    """The others are locked, with what they include of the parts that are not."""
    settings = parse(PROJECT + 'no-extras = ["b", "b"]\nno-groups = ["Docs"]\n')
    assert {name: [str(r) for r in listed] for name, listed in settings.extras.items()} == {
        "a-x": ["numpy<2"],
        "all": ["numpy>=2"],
    }
    assert list(settings.groups) == ["dev"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('no-extras = ["c"]', r"no-extras \(line 14\) lists 'c', which is not an extra; defined are a-x, b, all"),
        ('no-groups = ["b"]', r"lists 'b', which is not a dependency group; defined are dev, docs"),
        ('no-groups = ["dev"]\ndefault-groups = ["dev"]', r"default-groups .* lists 'dev', which is not"),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    """Unknown names, and default groups that are not locked, are reported."""
    with pytest.raises(SettingsError, match=message):
        parse(PROJECT + line + "\n")


def test_source_of_another_part() -> None:
    """The source of a package in an extra that is not locked does not matter."""
    text = (
        PROJECT + 'no-extras = ["a_x"]\n[[tool.uv.index]]\nname = "one"\nurl = "https://example.invalid/simple"\n'
        'explicit = true\n[tool.uv.sources]\nnumpy = [{ index = "one", extra = "b" }, { index = "one", extra = "all" }]\n'
    )
    assert parse(text).sources == {"numpy": "one"}
    with pytest.raises(SettingsError, match=r"tool\.uv\.sources\.numpy"):
        parse(text.replace('no-extras = ["a_x"]\n', ""))


def test_hint(tmp_path: Path, index: IndexServer) -> None:
    """An extra that can't be locked is named in the setting, which works, and then sync can't install it."""
    for version in ("1.0", "2.0"):
        index.add(build_wheel("numpy", version))
    project = PROJECT.partition("all = ")[0] + f'c = []\n[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\n'
    path = tmp_path / "pyproject.toml"
    path.write_text(project.replace('["numpy<2"]', '["numpy<1"]') + 'no-extras = ["c"]\n', encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    assert 'tool.minglibc.no-extras = ["a-x", "c"]' in ran.err
    path.write_text(project.replace('["numpy<2"]', '["numpy<1"]') + 'no-extras = ["a-x", "c"]\n', encoding="utf-8")
    assert minglibc("lock", "--project", str(tmp_path)).code == 0
    assert locked_versions(tmp_path) == {"numpy": "2.0"}
    ran = minglibc("sync", "--extra", "a-x", "--project", str(tmp_path))
    assert (ran.code, "a-x" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("extras", "hint"),
    [
        ("ab", 'this would work (verified): tool.minglibc.no-extras = ["a", "b"]'),
        ("abcdefg", "] leaves out what can't be locked; other obstacles may remain"),
    ],
)
def test_several_obstacles(extras: str, hint: str, tmp_path: Path, index: IndexServer) -> None:
    """Where several extras can't be locked, one hint names all of them; if there are too many, it says so."""
    index.add(build_wheel("base", "1.0"))
    for extra in extras:
        index.add(build_wheel(f"needs-{extra}", "1.0", tag="cp311-cp311-win_amd64"))
    listed = "".join(f'{extra} = ["needs-{extra}"]\n' for extra in extras)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "example"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = ["base"]\n'
        f'[project.optional-dependencies]\n{listed}[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\n',
        encoding="utf-8",
    )
    ran = minglibc("lock", "--project", str(tmp_path))
    assert (ran.code, hint in ran.err) == (1, True), ran.err
