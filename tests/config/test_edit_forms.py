"""Requirements are added to any form of pyproject.toml, or an error names the form; other values never change."""

import tomllib
from itertools import product

import pytest

from minglibc.config import edit
from minglibc.config.edit import DependencyList
from minglibc.errors import SettingsError

PROJECT = '[project]\nname = "cell"\nversion = "0"\n'
FORMS = [
    PROJECT,
    f'{PROJECT}dependencies = ["aa"]\n',
    f"{PROJECT}optional-dependencies = {{}}\n",
    f'{PROJECT}optional-dependencies = {{ x = ["aa"] }}\n',
    f'{PROJECT}optional-dependencies = {{ y = ["aa"], x = [] }}\n',
    f'{PROJECT}optional-dependencies.x = ["aa"]\n',
    f'{PROJECT}optional-dependencies.y = ["aa"]\nurls.a = "b"\n',
    f"dependency-groups = {{}}\n{PROJECT}",
    f'dependency-groups = {{ g = ["aa"] }}\n{PROJECT}',
    f'dependency-groups.g = ["aa"]\n{PROJECT}',
    f'dependency-groups.h = ["aa"]\ndependency-groups.i = ["aa"]\n{PROJECT}',
    'project = { name = "cell", version = "0", dependencies = ["aa"] }\n',
    'project = { name = "cell", version = "0" }\n',
    'project = { name = "cell", optional-dependencies = { x = [] } }\n',
    'project.name = "cell"\nproject.version = "0"\nproject.dependencies = ["aa"]\n',
    'project.name = "cell"\nproject.optional-dependencies.x = ["aa"]\n',
    'project.name = "cell"\n[tool.x]\na = 1\n[project.optional-dependencies]\nx = []\n',
    f"{PROJECT}[project.optional-dependencies]\n[tool.x]\na = 1\n",
    f"[project.optional-dependencies]\nx = []\n{PROJECT}",
    f"[tool.x]\na = 1\n[dependency-groups]\n{PROJECT}",
    f"[dependency-groups]\n# comment\n\n{PROJECT}",
]
# Dotted keys without a header, of which tomlkit can only extend existing tables.
UNSUPPORTED = {(14, 1)}
LISTS = [DependencyList(), DependencyList(extra="y"), DependencyList(group="g")]


def entries(text: str, dependency_list: DependencyList) -> list[str]:
    """The entries of *dependency_list*."""
    value: dict[str, object] = tomllib.loads(text)
    for key in str(dependency_list).split("."):
        value = value.get(key, {})  # type: ignore[assignment]  # a table, and a list in the end
    return list(value)


@pytest.mark.parametrize(("form", "dependency_list"), list(product(FORMS, LISTS)))
def test_add_and_remove(form: str, dependency_list: DependencyList) -> None:
    """The requirement is added and can be removed again, or the error says what to write instead."""
    before = entries(form, dependency_list)
    if (FORMS.index(form), LISTS.index(dependency_list)) in UNSUPPORTED:
        with pytest.raises(SettingsError, match="be edited in the form that pyproject"):
            edit.add(form, ["dd>=1"], dependency_list)
        return
    added = edit.add(form, ["dd>=1"], dependency_list)
    assert entries(added, dependency_list) == [*before, "dd>=1"]
    again = edit.add(added, ["ee"], dependency_list)
    assert entries(again, dependency_list) == [*before, "dd>=1", "ee"]
    removed = edit.remove(added, ["dd"], dependency_list)
    assert entries(removed, dependency_list) == before
    assert edit._without(removed, dependency_list) == edit._without(form, dependency_list)


@pytest.mark.parametrize(
    ("form", "dependency_list"),
    [(FORMS[2], LISTS[1]), (FORMS[3], LISTS[1]), (FORMS[7], LISTS[2]), (FORMS[8], LISTS[2]), (FORMS[11], LISTS[1])],
)
def test_inline_tables_are_edited(form: str, dependency_list: DependencyList) -> None:
    """Inline tables stay inline."""
    added = edit.add(form, ["dd"], dependency_list)
    assert "dd" in entries(added, dependency_list)
    assert added.count("\n") == form.count("\n")
