"""`minglibc add` and `remove`: requirements in pyproject.toml are edited, and the lock and the environment are updated."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.sync_options import SyncOptions
from minglibc.cli import add
from minglibc.config import edit, edit_indexes, project_files
from minglibc.config.edit import DependencyList
from minglibc.errors import EnvironmentProblem, LockError, SettingsError
from minglibc.model.requirements import parse
from tests.support.commands import Ran, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

PYPROJECT = """\
# About this file.
[project]
name = "example"  # its name
version = "0.1.0"
requires-python = ">=3.9"
dependencies = [
    # the reason for alpha
    "alpha>=1",  # why 1
    "Gamma",

    # a comment at the end
]

[project.urls]
home = "https://example.invalid"

[tool.minglibc]
glibc = "2.17"      # the oldest machine
python = ["3.11"]
index-url = "{url}"
# The end.
"""


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project whose pyproject.toml has comments and a layout."""
    for name, version in [("alpha", "1.0"), ("beta", "1.5+cpu"), ("beta", "1.0"), ("gamma", "3.0"), ("delta", "2.0")]:
        index.add(build_wheel(name, version, provides_extra=["x"]))
    index.add(build_wheel("capped", "2.0", "py3-none-manylinux_2_34_x86_64"))
    index.add(build_wheel("capped", "1.0", "py3-none-manylinux_2_17_x86_64"))
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(url=index.url), encoding="utf-8")
    lock(tmp_path)
    return tmp_path


def change(folder: Path, command: str, *arguments: str) -> Ran:
    """Run `add` or `remove` with --no-sync; it succeeds and leaves a fresh lock."""
    ran = minglibc(command, "--project", str(folder), "--no-sync", *arguments)
    assert not ran.code, ran.err
    assert not minglibc("lock", "--check", "--project", str(folder)).code
    return ran


def text_of(folder: Path) -> str:
    """The text of pyproject.toml, byte for byte."""
    return (folder / "pyproject.toml").read_bytes().decode()


def locked(folder: Path) -> dict[str, str]:
    """The locked versions by name."""
    return {package.name: str(package.version) for package in read_lock(folder).pylock.packages}


def test_bound(project: Path) -> None:
    """`add beta` writes beta>=1.5 in the sorted list, and changes nothing else in the file."""
    before = text_of(project)
    ran = change(project, "add", "beta")
    assert before.replace('    "Gamma"', '    "beta>=1.5",\n    "Gamma"') == text_of(project)
    assert "1.5+cpu" == locked(project)["beta"]
    assert " + beta 1.5+cpu" in ran.err


def test_bound_with_several_versions(tmp_path: Path, index: IndexServer) -> None:
    """If targets have different versions, the bound is the oldest one."""
    index.add(build_wheel("split", "1.0", "cp39-none-any"))
    index.add(build_wheel("split", "2.0", "cp311-none-any"))
    folder = write_project(tmp_path, index, python=["3.9", "3.11"])
    change(folder, "add", "split")
    assert 'dependencies = ["split>=1.0"]' in text_of(folder)
    assert 2 == len(read_lock(folder).pylock.packages)


def test_bound_under_the_cap(project: Path) -> None:
    """The bound is the version that the cap allows, not the newest."""
    change(project, "add", "capped")
    assert '"capped>=1.0"' in text_of(project)


def test_add_and_remove_are_inverse(project: Path) -> None:
    """Adding and removing a requirement restores the file and the lock, byte for byte."""
    pyproject, lock_text = text_of(project), (project / "pylock.toml").read_text(encoding="utf-8")
    change(project, "add", "beta<2", "capped")
    assert pyproject != text_of(project)
    change(project, "remove", "Beta", "capped")
    assert pyproject == text_of(project)
    assert lock_text == (project / "pylock.toml").read_text(encoding="utf-8")


def test_specifier(project: Path) -> None:
    """A specifier, extras and a marker are written as given."""
    requirement = "delta[x] ~= 2.0 ; python_version > '3.8'"
    change(project, "add", requirement)
    assert f'"{requirement}"' in text_of(project)


def test_existing_entry(project: Path) -> None:
    """An existing entry keeps its line, its comment and, if no specifier is given, its specifier."""
    before = text_of(project)
    change(project, "add", "Alpha")
    assert before == text_of(project)
    change(project, "add", "alpha[x]")
    assert before.replace('"alpha>=1"', '"alpha[x]>=1"') == text_of(project)
    change(project, "add", "alpha==1.0")
    assert before.replace('"alpha>=1"', '"alpha==1.0"') == text_of(project)


def test_groups_and_extras(project: Path) -> None:
    """--group and --extra create their table, and find an existing one in any spelling."""
    before = text_of(project)
    change(project, "add", "--group", "dev", "beta")
    change(project, "add", "--extra", "Fast", "delta")
    change(project, "add", "--extra", "fast", "beta")
    document = tomllib.loads(text_of(project))
    assert {"dev": ["beta>=1.5"]} == document["dependency-groups"]
    assert {"Fast": ["delta>=2.0", "beta>=1.5"]} == document["project"]["optional-dependencies"]
    for line in before.splitlines():
        assert line in text_of(project)
    change(project, "remove", "--group", "dev", "beta")
    change(project, "remove", "--extra", "FAST", "beta", "delta")
    assert "beta" not in locked(project)


def test_remove_from_another_place(project: Path) -> None:
    """If a requirement is in a group or an extra, the error names the option to use."""
    change(project, "add", "--group", "dev", "beta")
    refused = minglibc("remove", "--project", str(project), "--no-sync", "beta")
    assert 2 == refused.code
    assert "--group dev" in refused.err
    assert "minglibc tree" in minglibc("remove", "--project", str(project), "nope").err


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["nope"], 1, "nope"),
        (["beta", "alpha>5"], 1, "alpha"),
        (["beta>=9"], 1, "beta"),
        (["not a name"], 2, "is not a valid requirement"),
        (["capped>=2"], 1, "2.34"),
        (["--group", "a", "--extra", "b", "beta"], 2, "not allowed with"),
    ],
)
def test_failure_changes_nothing(project: Path, arguments: list[str], code: int, expected: str) -> None:
    """If a requirement can't be locked, pyproject.toml and the lock stay the same, byte for byte."""
    before = {path.name: path.read_bytes() for path in project.iterdir()}
    refused = minglibc("add", "--project", str(project), "--no-sync", *arguments)
    assert code == refused.code
    assert expected in refused.err
    assert before == {path.name: path.read_bytes() for path in project.iterdir()}


def test_unreachable_index(project: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable index exits with 3, and the file stays the same."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    before = text_of(project)
    index.fault("/simple/*", lambda exchange: exchange.hang_up(reset=True))
    assert 3 == minglibc("add", "--project", str(project), "--no-sync", "delta").code
    assert before == text_of(project)


def test_unwritable_lock(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the lock can't be written, pyproject.toml is restored."""
    before = text_of(project)

    def refuse(path: str, text: str) -> None:
        assert before != text_of(project)
        raise LockError("can't write")

    monkeypatch.setattr(project_files, "write_lock", refuse)
    assert 1 == minglibc("add", "--project", str(project), "--no-sync", "beta").code
    assert before == text_of(project)


def test_crlf_and_byte_order_mark(project: Path) -> None:
    """CRLF line ends and a byte order mark are kept, also in the new line."""
    path = project / "pyproject.toml"
    path.write_bytes(("\ufeff" + text_of(project).replace("\n", "\r\n")).encode())
    before = text_of(project)
    change(project, "add", "beta")
    assert before.replace('    "Gamma"', '    "beta>=1.5",\r\n    "Gamma"') == text_of(project)


def test_environment_is_synced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --no-sync, the same project is synced with the same cache and the group that was changed."""
    calls: list[tuple[CommonOptions, SyncOptions]] = []

    def refuse(common: CommonOptions, options: SyncOptions, reporter: Reporter) -> None:
        calls.append((common, options))
        raise EnvironmentProblem("not now")

    monkeypatch.setattr(add, "sync_environment", refuse)
    assert 1 == minglibc("add", "--project", str(project), "--offline", "-q", "--group", "dev", "alpha").code
    assert 1 == minglibc("remove", "--project", str(project), "--group", "dev", "alpha").code
    assert [(str(project), True), (str(project), False)] == [(common.project, common.offline) for common, _ in calls]
    assert [("dev",), ("dev",)] == [options.selection.groups for _, options in calls]


def test_environment_is_updated(tmp_path: Path, index: IndexServer) -> None:
    """`add` installs the package, and `remove` uninstalls it."""
    index.add(build_wheel("alpha", "1.0"))
    folder = write_project(tmp_path, index)
    assert not minglibc("add", "--project", str(folder), "alpha").code
    (site,) = (folder / ".venv").glob("lib/python*/site-packages")
    assert (site / "alpha" / "__init__.py").exists()
    assert not minglibc("remove", "--project", str(folder), "alpha").code
    assert not (site / "alpha").exists()


NAMES = st.sampled_from(["aa", "b-b", "B_b", "cc", "d.d", "ee"])
REQUIREMENTS = st.builds(
    lambda name, tail: name + tail, NAMES, st.sampled_from(["", ">=1", "==1.*", "[x]<2", "; python_version < '3'"])
)
DEPENDENCY_LISTS = st.sampled_from([DependencyList(), DependencyList(extra="x"), DependencyList(group="dev")])


@st.composite
def pyprojects(draw: st.DrawFn) -> str:
    """A pyproject.toml in any common layout."""
    entries = draw(st.lists(REQUIREMENTS, max_size=4, unique_by=lambda text: parse(text).name))
    comment = draw(st.sampled_from(["", "  # why", "\n    # on its own\n"]))
    if draw(st.booleans()):
        array = "[" + ", ".join(f'"{entry}"' for entry in entries) + "]"
    else:
        end = draw(st.sampled_from([",", ""]))
        lines = [f'    "{entry}",{comment}' for entry in entries[:-1]] + [
            f'    "{entry}"{end}' for entry in entries[-1:]
        ]
        array = "[\n" + "\n".join(lines) + "\n]"
    dependencies = draw(st.sampled_from([f"dependencies = {array}\n", ""]))
    after = draw(st.sampled_from(["", "\n[project.scripts]\na = 'b:c'\n", "\n[tool.x]\ny = 1  # z\n", "# end"]))
    extra = draw(st.sampled_from(["", f"\n[project.optional-dependencies]\nx = {array}\n"]))
    group = draw(st.sampled_from(["", f"\n[dependency-groups]\ndev = {array}\n"]))
    return f'[project]\nname = "p"\n{dependencies}{extra}{group}{after}'


def entries_in(text: str, dependency_list: DependencyList) -> list[str]:
    """The requirements in *dependency_list*."""
    document = tomllib.loads(text)
    if dependency_list.extra:
        entries = document["project"].get("optional-dependencies", {}).get(dependency_list.extra, [])
    elif dependency_list.group:
        entries = document.get("dependency-groups", {}).get(dependency_list.group, [])
    else:
        entries = document["project"].get("dependencies", [])
    return [str(entry) for entry in entries]


def without_list(text: str, dependency_list: DependencyList) -> object:
    """The document without *dependency_list*."""
    document = tomllib.loads(text)
    if dependency_list.group:
        document.get("dependency-groups", {}).pop(dependency_list.group, None)
    elif dependency_list.extra:
        document["project"].get("optional-dependencies", {}).pop(dependency_list.extra, None)
    else:
        document["project"].pop("dependencies", None)
    document["project"].setdefault("optional-dependencies", {})
    document.setdefault("dependency-groups", {})
    return document


@given(pyprojects(), REQUIREMENTS, DEPENDENCY_LISTS)
def test_add_changes_one_entry(text: str, wanted: str, dependency_list: DependencyList) -> None:
    """In any layout the requirement is added, other requirements and comments stay, and the rest is equal."""
    edited = edit.add(text, [wanted], dependency_list)
    name = parse(wanted).name
    before, after = entries_in(text, dependency_list), entries_in(edited, dependency_list)
    assert name in {parse(entry).name for entry in after}
    assert [entry for entry in before if parse(entry).name != name] == [
        entry for entry in after if parse(entry).name != name
    ]
    assert without_list(text, dependency_list) == without_list(edited, dependency_list)
    assert text.count("#") == edited.count("#")
    assert edited == edit.add(edited, [wanted], dependency_list)


@pytest.mark.slow
@given(pyprojects(), REQUIREMENTS, DEPENDENCY_LISTS)
def test_remove_changes_one_name(text: str, wanted: str, dependency_list: DependencyList) -> None:
    """In any layout no requirement of the name is left, and the others stay."""
    edited = edit.remove(edit.add(text, [wanted], dependency_list), [wanted], dependency_list)
    name = parse(wanted).name
    assert [entry for entry in entries_in(text, dependency_list) if parse(entry).name != name] == entries_in(
        edited, dependency_list
    )
    assert without_list(text, dependency_list) == without_list(edited, dependency_list)


@pytest.mark.parametrize("last", [",", ""])
def test_trailing_comma(last: str) -> None:
    """In a list with one entry per line, a new last entry has a comma if the old one had, and comments stay."""
    text = f'[project]\nname = "p"\ndependencies = [\n  "bb", # why, not\n  "aa"{last} # last\n]\n'
    expected = (
        f'[project]\nname = "p"\ndependencies = [\n  "bb", # why, not\n  "aa", # last\n  "cc",\n  "dd"{last}\n]\n'
    )
    assert expected == edit.add(text, ["cc", "dd"], DependencyList())


def test_comment_above_an_entry() -> None:
    """A new entry is never inserted between an entry and the comment above it."""
    text = '[project]\nname = "p"\ndependencies = [\n  "aa",\n  # of cc\n  "cc",\n]\n'
    assert text.replace('"cc",', '"cc",\n  "bb",') == edit.add(text, ["bb"], DependencyList())


def test_list_on_one_line() -> None:
    """In a list on one line a space follows each comma, and quotes stay."""
    text = '[project]\nname = "p"\ndependencies = [\'bb\', "dd"]\n'
    for name, expected in [
        ("aa", """["aa", 'bb', "dd"]"""),
        ("cc", """['bb', "cc", "dd"]"""),
        ("ee", """['bb', "dd", "ee"]"""),
    ]:
        assert f"dependencies = {expected}\n" in edit.add(text, [name], DependencyList())


def test_with_bound() -> None:
    """The bound follows the name and extras, without a local version."""
    assert "Foo[x]>=1.5; python_version > '3'" == edit.with_bound("Foo[x] ;python_version > '3'", "1.5+cpu")


@pytest.mark.slow
def test_index_is_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`add --index` writes the index before others, without its password; one of the environment is not written."""
    with IndexServer() as other:
        other.add(build_wheel("private", "1.0"))
        monkeypatch.setenv("MINGLIBC_INDEX", other.url)
        assert 0 == change(project, "add", "private").code
        assert "[[tool.minglibc.index]]" not in (project / "pyproject.toml").read_text()
        monkeypatch.delenv("MINGLIBC_INDEX")
        address = other.url.replace("://", "://me:secret@")
        for option, count in ((address, 1), (other.url, 1), (f"corp={other.url}", 2)):
            ran = change(project, "add", "private", "--index", option)
            assert 0 == ran.code, ran.err
            text = (project / "pyproject.toml").read_text()
            indexes = tomllib.loads(text)["tool"]["minglibc"]["index"]
            assert [other.url] * count == [table["url"] for table in indexes]
        assert "secret" not in text
        assert ["corp", "127-0-0-1-" + other.url.split(":")[2].partition("/")[0]] == [
            table["name"] for table in indexes
        ]
        # The index is a part of the project now.
        lock(project, "--upgrade")
        assert "# The end." in text
        index = "corp=https://example.invalid/simple/"
        ran = minglibc("add", "--project", str(project), "--no-sync", "private", "--index", index)
        assert (2, True) == (ran.code, "the index corp has another URL in [[tool.minglibc.index]]" in ran.err)
        assert text == (project / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("settings", "tool"),
    [
        ('[tool.minglibc]\nglibc = "2.17"\n', "minglibc"),
        ('[[tool.minglibc.index]]\nname = "old"\nurl = "https://old.example.invalid"\n# end\n', "minglibc"),
        ('[tool.minglibc]\nindex-url = "https://a.example.invalid"\n[tool.pdm.dev]\n', "minglibc"),
        ('[[tool.uv.index]]\nurl = "https://old.example.invalid"\n[tool.minglibc]\nglibc = "2.17"\n', "uv"),
    ],
)
def test_forms_of_index_settings(settings: str, tool: str) -> None:
    """The new index is the first one of the tool whose indexes the project uses; everything else stays."""
    text = edit_indexes.add_indexes(
        settings, [("", "https://new.example.invalid:81/simple"), ("b", "https://b.invalid")]
    )
    tables = tomllib.loads(text)["tool"][tool]["index"]
    assert ["new-example-invalid-81", "b"] == [table.get("name") for table in tables][:2]
    assert len(tables) == 2 + settings.count("//old")
    assert edit_indexes.add_indexes(text, [("b", "https://b.invalid/")]) == text


def test_indexes_of_other_tools_are_kept() -> None:
    """An index of minglibc would replace those of PDM and Poetry, so none is added; nor is one to an inline table."""
    with pytest.raises(SettingsError, match="can't be edited in the form"):
        edit_indexes.add_indexes('[tool]\nminglibc = { glibc = "2.17" }\n', [("", "https://b.example.invalid")])
    text = '[[tool.pdm.source]]\nname = "a"\nurl = "https://a.example.invalid"\n'
    with pytest.raises(SettingsError, match="the indexes of another tool"):
        edit_indexes.add_indexes(text, [("", "https://b.example.invalid")])
