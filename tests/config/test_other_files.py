"""Files of uv and PDM beside pyproject.toml: refused where they would change the lock, and read for requirements files."""

from pathlib import Path

import pytest

from minglibc.config import inputs
from minglibc.config.lock_source import LockSource
from minglibc.config.parser import parse
from minglibc.errors import SettingsError

PROJECT = '[project]\nname = "example"\nversion = "1"\nrequires-python = "==3.11.*"\n[tool.minglibc]\nglibc = "2.28"\n'
URL = "https://example.invalid/simple"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("uv.toml", f'index-url = "{URL}"\n', r"uv\.toml: index-url is not read by minglibc: uv reads it in place"),
        ("uv.toml", f'\ufeff[[index]]\r\nurl = "{URL}"\r\n', r"uv\.toml: index is not read"),
        ("uv.toml", 'resolution = "lowest"\n', r"write it there, or resolution under \[tool\.minglibc\]"),
        ("uv.toml", "index = [\n", r"uv\.toml is not valid TOML"),
        ("pdm.toml", f'[pypi]\nurl = "{URL}"\n', r"pdm\.toml: pypi is not read by minglibc"),
        ("pdm.toml", f'[pypi.extra]\nurl = "{URL}"\n', r"pdm\.toml: pypi is not read by minglibc"),
    ],
)
def test_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    """A key that would change the lock is an error, because packages could come from elsewhere."""
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    with pytest.raises(SettingsError, match=message):
        parse(PROJECT, folder=str(tmp_path))


def test_accepted(tmp_path: Path) -> None:
    """Other keys have no effect on a lock, and a setting of [tool.minglibc] applies instead."""
    (tmp_path / "uv.toml").write_text('cache-dir = "x"\npython-preference = "system"\nresolution = "lowest"\n')
    (tmp_path / "pdm.toml").write_text(f'[pypi]\nurl = "{URL}"\n[python]\nuse_pyenv = false\n')
    own = f'resolution = "highest"\nindex-url = "{URL}"\n'
    assert parse(PROJECT + own, folder=str(tmp_path)).index_url == URL


def test_requirements_file(tmp_path: Path) -> None:
    """`lock -r` reads uv.toml in place of [tool.uv], as `uv pip compile` does."""
    (tmp_path / "r.txt").write_text("demo\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.uv]\nindex-url = "https://other.example.invalid/simple"\n[tool.minglibc]\nglibc = "2.28"\npython = ["3.11"]\n'
    )
    (tmp_path / "uv.toml").write_text(f'index-url = "{URL}"\nconstraint-dependencies = ["demo<2"]\n')
    text = inputs.read(LockSource(("r.txt",)), str(tmp_path))
    settings = parse(text.pyproject, written=False)
    assert [index.url for index in settings.indexes] == [URL]
    assert [str(constraint) for constraint in settings.constraints] == ["demo<2"]
    assert text.notes == ("uv.toml applies as in `uv pip compile`: constraint-dependencies, index-url",)
