"""The digest that lets `lock` stop early is never fooled, and rarely alarmed."""

# The expected value stands on the left.

import string
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import assume, example, given
from hypothesis import strategies as st

from minglibc.lock.digest import fingerprint, lock_digests, seal

PYPROJECT = """\
[build-system]
requires = ["hatchling"]

[project]
name = "example"
version = "0.1.0"
requires-python = ">=3.9"
dependencies = [
    "paramiko",  # ssh
    "a; sys_platform == 'linux'",
]

[project.optional-dependencies]
web = ["flask"]

[dependency-groups]
dev = ["pytest"]

[tool.minglibc]
glibc = "2.27"

[tool.ruff]
line-length = 120
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("paramiko", "paramiko<3"),
        ("2.27", "2.28"),
        ("flask", "Flask"),
        ("pytest", "pytest>8"),
        (">=3.9", ">=3.10"),
        ("[tool.ruff]", "[tool.minglibc.glibcs]"),
        ("[tool.ruff]", "[tool]\nminglibc.x = 1\n[tool.ruff]"),
        ("[tool.ruff]", '[tool."minglibc".x]'),
        ("[tool.ruff]", '["tool".minglibc.x]'),
        ("[tool.ruff]", "[ tool . minglibc . x ]"),
        ("[tool.ruff]", r'["\u0074ool".minglibc.x]'),
        ("[tool.ruff]", "[tool.ruff]\n<<<<<<< HEAD"),
        ("[tool.ruff]", "[tool.ruff]\na = ["),
        ("[tool.ruff]", '[tool.ruff]\na = "'),
        ("[build-system]", "project.x = 1\n[build-system]"),
        ("'linux'", "'linux '"),
    ],
)
def test_what_matters_changes_the_digest(old: str, new: str) -> None:
    """Requirements, groups, settings, however their tables are spelt, and a text that stops being TOML, all count."""
    assert fingerprint(PYPROJECT) != fingerprint(PYPROJECT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("120", "88"),
        ("# ssh", "# not telnet"),
        ('"paramiko",  # ssh', '"paramiko",'),
        ('"hatchling"', '"setuptools"'),
        ("0.1.0", "0.2.0"),
        ("[tool.ruff]", "[tool.black]\n[tool.ruff]"),
        ("[tool.ruff]", '[tool.x]\ny = """\n[tool.minglibc]\n"""\n[tool.ruff]'),
        ("[tool.ruff]", '[project.urls]\nhome = "x"\n[tool.ruff]'),
        ("\n\n", "\n \t\n\n# more\n"),
        ("\n", "\r\n"),
        ("[build-system]", "\ufeff[build-system]"),
        ("line-length = 120\n", "line-length = 120"),
    ],
)
def test_what_does_not_matter_leaves_the_digest(old: str, new: str) -> None:
    """Other tools' tables, comments, blank lines, line ends, a version bump: the lock stays fresh."""
    assert fingerprint(PYPROJECT) == fingerprint(PYPROJECT.replace(old, new))


def test_overrides_count_when_they_are_given() -> None:
    """A lock made with `--glibc` is not the lock of the file alone; an option that was not given says nothing."""
    assert fingerprint(PYPROJECT) == fingerprint(PYPROJECT, {"glibc": None, "python": ()})
    digests = {
        fingerprint(PYPROJECT, given) for given in ({}, {"glibc": "2.17"}, {"glibc": "2.28"}, {"python": ("2.17",)})
    }
    assert 4 == len(digests)


def _relevant(document: dict[str, Any]) -> tuple[Any, ...]:
    project = document.get("project", {})
    tool = document.get("tool", {})
    if not isinstance(project, dict) or not isinstance(tool, dict):
        return (project, tool)
    ignored = {"version", "description", "urls", "scripts", "authors"}
    kept = {key: value for key, value in project.items() if key not in ignored}
    return kept, document.get("dependency-groups"), tool.get("minglibc")


_texts = st.text("ab \"'\\#[]{}=\n,.", max_size=7) | st.sampled_from(
    ["[project]", '"""', "'''", "\n[tool.minglibc]\n", "\n[tool.ruff]\nx = 1\n", "#", '""""', "\\"]
)
_leaves = _texts | st.integers(0, 3) | st.booleans()
_some = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2), max_leaves=4
)
_tables = st.fixed_dictionaries(
    {},
    optional={
        "project": st.dictionaries(st.sampled_from(["name", "version", "dependencies", "urls"]), _some, max_size=3),
        "dependency-groups": st.dictionaries(_texts, _some, max_size=2),
        "tool": st.dictionaries(
            st.sampled_from(["minglibc", "ruff", "min"]), st.dictionaries(_texts, _some, max_size=2), max_size=3
        ),
        "other": _some,
    },
)


@given(_tables, _tables)
def test_equal_digests_mean_equal_inputs(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two files that ask for different things never have one digest, whatever their strings hold."""
    assume(_relevant(first) != _relevant(second))
    assert fingerprint(tomlkit.dumps(first)) != fingerprint(tomlkit.dumps(second))


_raw = st.sampled_from(
    [
        "1",
        "'x'",
        '"y"',
        '"#"',
        "'#'",
        r'"\\"',
        r'"\""',
        "[]",
        "[1, 2]",
        "{a = 1}",
        '[{b = "]"}, "["]',
        "[\n[1], # ]\n]",
        "2026-01-01 00:00:00",
        *(
            f"{quote}{inner}{quote}"
            for quote in ('"""', "'''")
            for inner in ("", "\n[project]\nz = 1\n", "\n[tool.ruff]\nz = 1\n", "x'y", "#", r"\\")
        ),
        r'"""a\""""',
        '"""a"""""',
        "'''a'''''",
        '"""\\\n[project]"""',
        '"""\\"""\n[tool.ruff]\n"""',
    ]
)
_headers = st.lists(
    st.sampled_from(
        [
            "[project]",
            "[tool.minglibc]",
            "[tool.ruff]",
            "[[tool.x]]",
            "[dependency-groups]",
            "[a]",
            "[ project . urls ]",
        ]
    ),
    max_size=4,
    unique=True,
)
_keys = st.sampled_from(["a", "name", "version", "'version'", "version.x", '"#"', '""'])


@st.composite
def _layouts(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that are alike but for one value."""
    lines: list[tuple[str, str]] = []
    for header in ["", *draw(_headers)]:
        lines.append((header, ""))
        lines += [(key, draw(_raw)) for key in draw(st.lists(_keys, max_size=2, unique=True))]
    other = list(lines)
    places = [place for place, (_, value) in enumerate(lines) if value]
    if places:
        place = draw(st.sampled_from(places))
        other[place] = (other[place][0], draw(_raw))
    first, second = ("\n".join(f"{key} = {value}" if value else key for key, value in text) for text in (lines, other))
    return first, second


@given(_layouts())
@example(("[tool.ruff]\na = '''\n'''\n[project]\na = 1", "[tool.ruff]\na = '''\n'''\n[project]\na = 2"))
@example(('[tool.ruff]\na = """\\""""\n[project]\na = 1', '[tool.ruff]\na = """\\""""\n[project]\na = 2'))
@example(('[project]\na = """\n[tool.ruff]\nz = 1"""', '[project]\na = """\n[tool.ruff]\nz = 2"""'))
def test_no_layout_hides_a_change(texts: tuple[str, str]) -> None:
    """Raw TOML, however its quotes and brackets fall, has equal digests only where it asks for the same."""
    found: list[object] = []
    for text in texts:
        try:
            found.append(_relevant(tomllib.loads(text)))
        except tomllib.TOMLDecodeError:
            # Two unreadable texts promise nothing; `lock` has never made a lock from either.
            return
    assert found[0] == found[1] or fingerprint(texts[0]) != fingerprint(texts[1])


@given(st.text(string.printable.replace("\r", ""), max_size=30), st.integers(0, 10_000))
def test_a_seal_notices_every_change(body: str, place: int) -> None:
    """A lock reads back as intact, and no longer when any one character of it is another."""
    text = seal(f"{body}\n[tool.minglibc]\n", fingerprint("a = 1"))
    found = lock_digests(seal(text, fingerprint("a = 1")))
    assert found is not None
    assert (fingerprint("a = 1"), True) == (found.inputs, found.intact)
    sealed = seal(text, fingerprint("a = 1"))
    at = place % len(sealed)
    changed = lock_digests(sealed[:at] + ("x" if sealed[at] != "x" else "y") + sealed[at + 1 :])
    assert changed is None or not changed.intact


@pytest.mark.parametrize("lock", ["", "lock-version = '1.0'\n", 'text = "sha256:00"\n', "\0", "<<<<<<< HEAD\n"])
def test_what_is_no_lock_has_no_digests(lock: str) -> None:
    """An empty, foreign or broken file says nothing."""
    assert lock_digests(lock) is None


def test_a_lock_cut_or_continued_has_no_digests() -> None:
    """A lock that lost its end, or got more after it, is noticed."""
    text = seal("a = 1\n[tool.minglibc]\n", fingerprint(""))
    assert lock_digests(text[:-1]) is None
    assert lock_digests(text + "[more]\n") is None


def test_git_may_change_the_line_ends() -> None:
    """A checkout with CRLF reads as what was written."""
    found = lock_digests(seal("a = 1\n[tool.minglibc]\n", fingerprint("")).replace("\n", "\r\n"))
    assert found is not None
    assert found.intact


def test_nothing_heavy_is_imported() -> None:
    """The early stop reads no TOML and imports nothing that would."""
    code = "import sys, minglibc.lock.digest; print(*({'tomllib', 'packaging', 'pathlib', 'dataclasses'} & set(sys.modules)))"
    assert "" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
