"""`minglibc add` and `remove`: pyproject.toml keeps its looks, and changes only together with its lock."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.cli import sync
from minglibc.cli.options import Namespace
from minglibc.config import edit
from minglibc.config import project_files as adapter
from minglibc.config.edit import Place
from minglibc.errors import LockError
from minglibc.model.requirements import parse
from tests.support.commands import Ran, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

DRESSED = """\
# About this file.
[project]
name = "example"  # its name
version = "0.1.0"
requires-python = ">=3.9"
dependencies = [
    # the reason for alpha
    "alpha>=1",  # why 1
    "Gamma",

    # to the end
]

[project.urls]
home = "https://example.invalid"

[tool.minglibc]
glibc = "2.17"      # the controllers
python = ["3.11"]
index-url = "{url}"
# The end.
"""


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project whose pyproject.toml somebody cares for."""
    for name, version in [("alpha", "1.0"), ("beta", "1.5+cpu"), ("beta", "1.0"), ("gamma", "3.0"), ("delta", "2.0")]:
        index.add(build_wheel(name, version, provides_extra=["x"]))
    index.add(build_wheel("capped", "2.0", "py3-none-manylinux_2_34_x86_64"))
    index.add(build_wheel("capped", "1.0", "py3-none-manylinux_2_17_x86_64"))
    (tmp_path / "pyproject.toml").write_text(DRESSED.format(url=index.url), encoding="utf-8")
    lock(tmp_path)
    return tmp_path


def change(folder: Path, command: str, *arguments: str) -> Ran:
    """Add or remove without a sync, which must succeed."""
    ran = minglibc(command, "--project", str(folder), "--no-sync", *arguments)
    assert not ran.code, ran.err
    assert not minglibc("lock", "--check", "--project", str(folder)).code
    return ran


def text_of(folder: Path) -> str:
    """The text of pyproject.toml, as it is on disk."""
    return (folder / "pyproject.toml").read_bytes().decode()


def locked(folder: Path) -> dict[str, str]:
    """The locked versions by name."""
    return {package.name: str(package.version) for package in read_lock(folder).pylock.packages}


def test_a_bare_name_gets_the_locked_release_as_its_bound(project: Path) -> None:
    """`add beta` writes beta>=1.5, at its place in a sorted list, and changes nothing else of the file."""
    before = text_of(project)
    ran = change(project, "add", "beta")
    assert before.replace('    "Gamma"', '    "beta>=1.5",\n    "Gamma"') == text_of(project)
    assert "1.5+cpu" == locked(project)["beta"]
    assert " + beta 1.5+cpu" in ran.err


def test_the_bound_is_the_oldest_of_the_locked_releases(tmp_path: Path, index: IndexServer) -> None:
    """Where targets have different releases, the bound admits each of them."""
    index.add(build_wheel("split", "1.0", "cp39-none-any"))
    index.add(build_wheel("split", "2.0", "cp311-none-any"))
    folder = write_project(tmp_path, index, python=["3.9", "3.11"])
    change(folder, "add", "split")
    assert 'dependencies = ["split>=1.0"]' in text_of(folder)
    assert 2 == len(read_lock(folder).pylock.packages)


def test_the_cap_bounds_what_is_added(project: Path) -> None:
    """The bound is of the release that the cap allows, not of the newest."""
    change(project, "add", "capped")
    assert '"capped>=1.0"' in text_of(project)


def test_add_and_remove_are_inverse(project: Path) -> None:
    """What was added and removed again leaves the file and the lock as they were, byte for byte."""
    pyproject, lock_text = text_of(project), (project / "pylock.toml").read_text(encoding="utf-8")
    change(project, "add", "beta<2", "capped")
    assert pyproject != text_of(project)
    change(project, "remove", "Beta", "capped")
    assert pyproject == text_of(project)
    assert lock_text == (project / "pylock.toml").read_text(encoding="utf-8")


def test_a_specifier_is_written_as_it_was_given(project: Path) -> None:
    """Specifier, extras and marker stand in the file as the command line has them."""
    given_text = "delta[x] ~= 2.0 ; python_version > '3.8'"
    change(project, "add", given_text)
    assert f'"{given_text}"' in text_of(project)


def test_an_entry_is_replaced_in_place(project: Path) -> None:
    """A package that is there already keeps its line, its comment and, for a bare name, its specifier."""
    before = text_of(project)
    change(project, "add", "Alpha")
    assert before == text_of(project)
    change(project, "add", "alpha[x]")
    assert before.replace('"alpha>=1"', '"alpha[x]>=1"') == text_of(project)
    change(project, "add", "alpha==1.0")
    assert before.replace('"alpha>=1"', '"alpha==1.0"') == text_of(project)


def test_a_group_and_an_extra_are_made(project: Path) -> None:
    """--group and --extra make their table where there is none, and find it again however it is spelled."""
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


def test_remove_says_where_else_it_is(project: Path) -> None:
    """What is not with the project itself is found elsewhere, with the option to say."""
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
        (["not a name"], 2, "is not a requirement"),
        (["capped>=2"], 1, "2.34"),
        (["--group", "a", "--extra", "b", "beta"], 2, "not allowed with"),
    ],
)
def test_when_the_lock_fails_nothing_has_changed(project: Path, arguments: list[str], code: int, expected: str) -> None:
    """A requirement that can't be locked leaves pyproject.toml and the lock byte for byte, and no leftovers."""
    before = {path.name: path.read_bytes() for path in project.iterdir()}
    refused = minglibc("add", "--project", str(project), "--no-sync", *arguments)
    assert code == refused.code
    assert expected in refused.err
    assert before == {path.name: path.read_bytes() for path in project.iterdir()}


def test_an_index_that_is_down_changes_nothing(
    project: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be asked is not added: exit 3, and the file is as it was."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    before = text_of(project)
    index.fault("/simple/*", lambda exchange: exchange.hang_up(reset=True))
    assert 3 == minglibc("add", "--project", str(project), "--no-sync", "delta").code
    assert before == text_of(project)


def test_a_lock_that_can_t_be_written_takes_the_requirement_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the lock can't be written, pyproject.toml is put back as it was."""
    before = text_of(project)

    def refuse(path: str, text: str) -> None:
        assert before != text_of(project)
        raise LockError("can't write")

    monkeypatch.setattr(adapter, "write_lock", refuse)
    assert 1 == minglibc("add", "--project", str(project), "--no-sync", "beta").code
    assert before == text_of(project)


def test_windows_lines_and_byte_order_marks_stay(project: Path) -> None:
    """A file with CRLF and a byte order mark has them afterwards, in the new line too."""
    path = project / "pyproject.toml"
    path.write_bytes(("\ufeff" + text_of(project).replace("\n", "\r\n")).encode())
    before = text_of(project)
    change(project, "add", "beta")
    assert before.replace('    "Gamma"', '    "beta>=1.5",\r\n    "Gamma"') == text_of(project)


def test_the_environment_is_synced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --no-sync, sync runs in the same project and with the same cache, for the group that was changed."""
    ran = []

    def note(arguments: Namespace) -> int:
        ran.append(arguments)
        return 5

    monkeypatch.setattr(sync, "run", note)
    assert 5 == minglibc("add", "--project", str(project), "--offline", "-q", "--group", "dev", "alpha").code
    (arguments,) = ran
    assert str(project) == arguments.project
    assert (["dev"], True, True) == (arguments.group, arguments.offline, arguments.quiet)
    assert 5 == minglibc("remove", "--project", str(project), "--group", "dev", "alpha").code
    assert ["dev"] == ran[1].group


def test_an_environment_is_really_made(tmp_path: Path, index: IndexServer) -> None:
    """`add` ends with the package importable, `remove` without it."""
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
PLACES = st.sampled_from([Place(), Place(extra="x"), Place(group="dev")])


@st.composite
def pyprojects(draw: st.DrawFn) -> str:
    """A pyproject.toml in any of the layouts that people write."""
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


def entries_at(text: str, place: Place) -> list[str]:
    """The requirements at *place*."""
    document = tomllib.loads(text)
    if place.extra:
        found = document["project"].get("optional-dependencies", {}).get(place.extra, [])
    elif place.group:
        found = document.get("dependency-groups", {}).get(place.group, [])
    else:
        found = document["project"].get("dependencies", [])
    return [str(each) for each in found]


def bare_of(text: str, place: Place) -> object:
    """The document without what stands at *place*."""
    document = tomllib.loads(text)
    if place.group:
        document.get("dependency-groups", {}).pop(place.group, None)
    elif place.extra:
        document["project"].get("optional-dependencies", {}).pop(place.extra, None)
    else:
        document["project"].pop("dependencies", None)
    document["project"].setdefault("optional-dependencies", {})
    document.setdefault("dependency-groups", {})
    return document


@given(pyprojects(), REQUIREMENTS, PLACES)
def test_adding_changes_one_entry_and_nothing_else(text: str, wanted: str, place: Place) -> None:
    """In any layout: the requirement is there, the others are as they were, every comment stays, the rest is equal."""
    edited = edit.add(text, [wanted], place)
    name = parse(wanted).name
    before, after = entries_at(text, place), entries_at(edited, place)
    assert name in {parse(entry).name for entry in after}
    assert [entry for entry in before if parse(entry).name != name] == [
        entry for entry in after if parse(entry).name != name
    ]
    assert bare_of(text, place) == bare_of(edited, place)
    assert text.count("#") == edited.count("#")
    assert edited == edit.add(edited, [wanted], place)


@given(pyprojects(), REQUIREMENTS, PLACES)
def test_removing_takes_a_name_and_nothing_else(text: str, wanted: str, place: Place) -> None:
    """In any layout: no requirement of the name is left, the others are as they were."""
    edited = edit.remove(edit.add(text, [wanted], place), [wanted], place)
    name = parse(wanted).name
    assert [entry for entry in entries_at(text, place) if parse(entry).name != name] == entries_at(edited, place)
    assert bare_of(text, place) == bare_of(edited, place)


@pytest.mark.parametrize("last", [",", ""])
def test_the_last_entry_ends_as_the_last_one_did(last: str) -> None:
    """Where a list is written one a line, a new last entry has a comma if the old one had it, and comments stay."""
    text = f'[project]\nname = "p"\ndependencies = [\n  "bb", # why, not\n  "aa"{last} # last\n]\n'
    expected = (
        f'[project]\nname = "p"\ndependencies = [\n  "bb", # why, not\n  "aa", # last\n  "cc",\n  "dd"{last}\n]\n'
    )
    assert expected == edit.add(text, ["cc", "dd"], Place())


def test_a_comment_stays_with_what_it_speaks_of() -> None:
    """A new entry never comes between an entry and the comment above it, sorted or not."""
    text = '[project]\nname = "p"\ndependencies = [\n  "aa",\n  # of cc\n  "cc",\n]\n'
    assert text.replace('"cc",', '"cc",\n  "bb",') == edit.add(text, ["bb"], Place())


def test_one_line_is_written_as_people_write_it() -> None:
    """In a list on one line a blank follows each comma, wherever the new entry stands; quotes stay."""
    text = '[project]\nname = "p"\ndependencies = [\'bb\', "dd"]\n'
    for name, expected in [
        ("aa", """["aa", 'bb', "dd"]"""),
        ("cc", """['bb', "cc", "dd"]"""),
        ("ee", """['bb', "dd", "ee"]"""),
    ]:
        assert f"dependencies = {expected}\n" in edit.add(text, [name], Place())


def test_a_bound_stands_before_the_marker() -> None:
    """The lower bound follows name and extras, and leaves a local version out."""
    assert "Foo[x]>=1.5; python_version > '3'" == edit.with_bound("Foo[x] ;python_version > '3'", "1.5+cpu")
