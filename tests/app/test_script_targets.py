"""The targets of scripts that name none."""

from pathlib import Path

from minglibc.app.options import CommonOptions
from minglibc.app.script_targets import project_targets
from minglibc.config.settings import Overrides


def test_default_pythons_of_the_project(tmp_path: Path) -> None:
    """Where the project's settings list no Python versions, those of its `requires-python` are used."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11,<3.13"\n[tool.minglibc]\nglibc = "2.28"\n'
    )
    script = tmp_path / "script.py"
    script.write_text("# /// script\n# dependencies = []\n# ///\n")
    options = CommonOptions(project=str(tmp_path))
    assert Overrides(glibc="2.28", python=("3.11", "3.12")) == project_targets(str(script), options)
    script.write_text('# /// script\n# dependencies = []\n# requires-python = "==3.12.*"\n# ///\n')
    assert Overrides(glibc="2.28") == project_targets(str(script), options)
