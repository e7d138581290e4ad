"""Rules and groups of uv and PDM are those of the lock, unless [tool.minglibc] has the setting."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.config.settings import Settings
from minglibc.errors import SettingsError
from minglibc.lock.digest import fingerprint
from tests.support.commands import minglibc
from tests.support.explained import Project
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

HEAD = """[project]
name = "demo"
requires-python = ">=3.11"
dependencies = ["a"]
[dependency-groups]
dev = ["b"]
[tool.minglibc]
glibc = "2.28"
python = ["3.11"]
"""


def read(tables: str, own: str = "") -> Settings:
    """The settings of a project with *tables*, and with *own* lines in [tool.minglibc]."""
    return parse(f"{HEAD}{own}{tables}")


def test_rules_of_uv() -> None:
    """Each rule has the effect of the setting of minglibc with the same meaning."""
    settings = read("""
[tool.uv]
constraint-dependencies = ["c<2"]
override-dependencies = ["d==1"]
exclude-dependencies = ["e"]
exclude-newer = "2026-01-31"
exclude-newer-package = { f = false }
resolution = "lowest"
prerelease = "allow"
default-groups = "all"
""")
    assert ["c<2"] == [str(constraint) for constraint in settings.constraints]
    assert ["d==1"] == [str(override) for override in settings.overrides]
    assert settings.excludes == {"e"}
    assert settings.exclude_newer == datetime(2026, 2, 1, tzinfo=UTC)
    assert settings.exclude_newer_package == {"f": None}
    assert settings.resolution == "lowest"
    assert settings.prereleases is True
    assert settings.default_groups == ("dev",)
    assert settings.warnings == ()


def test_rules_of_pdm() -> None:
    """A bare version in the overrides is an exact one, as for PDM."""
    settings = read("""
[tool.pdm.resolution]
excludes = ["e"]
allow-prereleases = true
[tool.pdm.resolution.overrides]
d = "1.0"
f = ">=2"
""")
    assert ["d==1.0", "f>=2"] == [str(override) for override in settings.overrides]
    assert settings.excludes == {"e"}
    assert settings.prereleases is True


def test_own_settings_come_first() -> None:
    """A rule that [tool.minglibc] replaces by another one is named in a warning, and an equal one is not."""
    uv = '[tool.uv]\nconstraint-dependencies = ["c<2"]\n'
    settings = read(uv, 'constraints = ["c<3"]\n')
    assert ["c<3"] == [str(constraint) for constraint in settings.constraints]
    (warning,) = settings.warnings
    assert warning == "tool.uv.constraint-dependencies is not read, because [tool.minglibc] has constraints"
    assert read(uv, 'constraints = ["c<2"]\n').warnings == ()


def test_groups() -> None:
    """uv adds its development dependencies to the group dev; PDM has groups of its own."""
    settings = read('[tool.uv]\ndev-dependencies = ["c"]\n[tool.pdm.dev-dependencies]\ntest = ["d", "e>1"]\n')
    names = {group: [str(requirement) for requirement in listed] for group, listed in settings.groups.items()}
    assert names == {"dev": ["b", "c"], "test": ["d", "e>1"]}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[tool.uv]\nconstraint-dependencies = ["c=>2"]\n', "tool.uv.constraint-dependencies[0] (line 11) is 'c=>2'"),
        ('[tool.uv]\nexclude-newer = "soon"\n', 'tool.uv.exclude-newer (line 11) is "soon"'),
        ('[tool.uv]\nexclude-newer-package = { f = "soon" }\n', "tool.uv.exclude-newer-package.f"),
        ('[tool.uv]\ndefault-groups = ["docs"]\n', "tool.uv.default-groups (line 11) lists 'docs'"),
        ('[tool.uv]\ndev-dependencies = "x"\n', "tool.uv.dev-dependencies (line 11) is not a list"),
        ('[tool.pdm.dev-dependencies]\ntest = ["-e file:///${PROJECT_ROOT}/x#egg=x"]\n', "is an editable path"),
    ],
)
def test_mistakes_are_named_where_they_are(tables: str, message: str) -> None:
    """With the key and the line in the table of the other tool."""
    with pytest.raises(SettingsError) as error:
        read(tables)
    assert message in error.value.message


def test_a_changed_rule_makes_the_lock_stale() -> None:
    """Rules are inputs of the lock; other keys of uv are not."""
    digests = {
        fingerprint(f"{HEAD}{tables}")
        for tables in ("", '[tool.uv]\nconstraint-dependencies = ["a<2"]\n', '[tool.pdm.dev-dependencies]\nx = ["y"]\n')
    }
    assert len(digests) == 3
    assert fingerprint(f"{HEAD}[tool.uv]\npackage = false\n") == fingerprint(HEAD)


def test_constraint_of_uv_is_locked(index: IndexServer, tmp_path: Path) -> None:
    """From the command line: the constrained release is locked, and a conflict names the constraint."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0"))
    project = Project(tmp_path, index).write("a")
    pyproject = tmp_path / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(f'{text}\n[tool.uv]\nconstraint-dependencies = ["a<2"]\n', encoding="utf-8")
    assert 0 == project.run("lock").code
    assert 'version = "1.0"' in (tmp_path / "pylock.toml").read_text(encoding="utf-8")
    pyproject.write_text(f'{text}\n[tool.uv]\nconstraint-dependencies = ["a<1"]\n', encoding="utf-8")
    ran = project.run("lock")
    assert 1 == ran.code
    assert "the constraints have a<1" in ran.err


def test_rules_of_a_script(index: IndexServer, tmp_path: Path) -> None:
    """The block of a script may contain [tool.uv] (PEP 723), whose rules apply as well."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0"))
    block = f"""dependencies = ["a"]
[tool.uv]
constraint-dependencies = ["a<2"]
[tool.minglibc]
glibc = "2.28"
python = ["3.11"]
index-url = "{index.url}"
"""
    lines = "".join(f"# {line}\n" for line in block.splitlines())
    (tmp_path / "job.py").write_text(f"# /// script\n{lines}# ///\n", encoding="utf-8")
    ran = minglibc("lock", "--script", str(tmp_path / "job.py"))
    assert 0 == ran.code, ran.err
    assert 'version = "1.0"' in (tmp_path / "pylock.job.toml").read_text(encoding="utf-8")
