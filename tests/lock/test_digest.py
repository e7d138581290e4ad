"""The digest of a lock's inputs changes if and only if something that the lock depends on changes."""

import os
import string
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import tomlkit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minglibc.lock.digest import fingerprint, is_current_cached, lock_digests, seal

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
        ("[tool.ruff]", '[tool.uv.sources]\nparamiko = { path = "p" }\n[tool.ruff]'),
        ('version = "0.1.0"', 'dynamic = ["dependencies"]'),
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
def test_relevant_changes(old: str, new: str) -> None:
    """Requirements, groups and settings in any TOML style, and a text that is not TOML, change the digest."""
    assert fingerprint(PYPROJECT) != fingerprint(PYPROJECT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('version = "0.1.0"', 'dynamic = ["version"]'),
        ('version = "0.1.0"', 'dynamic = ["version", "readme"]'),
        ('glibc = "2.27"', 'glibc = "2.27"\nfile-conflicts = "error"'),
        ('glibc = "2.27"', 'glibc = "2.27"\ncpu = "x86-64-v2"'),
        ("[tool.ruff]", "[tool.uv]\nsources = {}\n[tool.ruff]"),
        ("[tool.ruff]", "[tool.uv]\npackage = false\n[tool.ruff]"),
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
        ('"paramiko"', "'paramiko'"),
        ('"paramiko"', '"\\u0070aramiko"'),
        ('["pytest"]', '[\n  "pytest",\n]'),
        ('[tool.minglibc]\nglibc = "2.27"', '[tool]\nminglibc = { glibc = "2.27" }'),
        ('[tool.minglibc]\nglibc = "2.27"', '[tool]\nminglibc.glibc = "2.27"'),
        (
            '[dependency-groups]\ndev = ["pytest"]\n\n[tool.minglibc]\nglibc = "2.27"',
            '["tool".minglibc]\nglibc = "2.27"\n[dependency-groups]\n"dev" = ["pytest"]',
        ),
        ("[tool.ruff]", "[project.readme]\nfile = 'x'\n[tool.ruff]"),
    ],
)
def test_irrelevant_changes(old: str, new: str) -> None:
    """Other tools' tables, comments, line ends, a new version and another TOML style leave the lock fresh."""
    assert fingerprint(PYPROJECT) == fingerprint(PYPROJECT.replace(old, new))


def test_overrides_are_part_of_the_digest() -> None:
    """A lock made with `--glibc` is not the lock of the file alone; options that are not given do not matter."""
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


# Not to fail on a busy machine: the time limit for drawing examples is about this machine, not about the strategy.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_tables, _tables)
def test_equal_digests_mean_equal_inputs(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Files with different inputs have different digests; a file keeps its digest when another library formats it."""
    first_digest, second_digest = (fingerprint(tomlkit.dumps(document)) for document in (first, second))
    assert _relevant(first) == _relevant(second) or first_digest != second_digest
    assert first_digest == fingerprint(tomli_w.dumps(first))


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
    """Two texts that differ in one value."""
    lines: list[tuple[str, str]] = []
    for header in ["", *draw(_headers)]:
        lines.append((header, ""))
        lines += [(key, draw(_raw)) for key in draw(st.lists(_keys, max_size=2, unique=True))]
    other = list(lines)
    positions = [position for position, (_, value) in enumerate(lines) if value]
    if positions:
        position = draw(st.sampled_from(positions))
        other[position] = (other[position][0], draw(_raw))
    first, second = ("\n".join(f"{key} = {value}" if value else key for key, value in text) for text in (lines, other))
    return first, second


@given(_layouts())
@example(("[tool.ruff]\na = '''\n'''\n[project]\na = 1", "[tool.ruff]\na = '''\n'''\n[project]\na = 2"))
@example(('[tool.ruff]\na = """\\""""\n[project]\na = 1', '[tool.ruff]\na = """\\""""\n[project]\na = 2'))
@example(('[project]\na = """\n[tool.ruff]\nz = 1"""', '[project]\na = """\n[tool.ruff]\nz = 2"""'))
def test_layout_does_not_hide_changes(texts: tuple[str, str]) -> None:
    """Raw TOML with any quotes and brackets has equal digests only for equal inputs."""
    inputs: list[object] = []
    for text in texts:
        try:
            inputs.append(_relevant(tomllib.loads(text)))
        except tomllib.TOMLDecodeError:
            # No lock is made from invalid TOML.
            return
    assert inputs[0] == inputs[1] or fingerprint(texts[0]) != fingerprint(texts[1])


VERSION = '\nlock-version = "1.0"\n'


@given(st.text(string.printable.replace("\r", ""), max_size=30), st.integers(0, 10_000))
def test_seal_detects_every_change(body: str, position: int) -> None:
    """A lock is intact, and no longer so if any character is changed."""
    text = seal(f"{body}{VERSION}[tool.minglibc]\n", fingerprint("a = 1"))
    digests = lock_digests(seal(text, fingerprint("a = 1")))
    assert digests is not None
    assert (fingerprint("a = 1"), True) == (digests.inputs, digests.intact)
    sealed = seal(text, fingerprint("a = 1"))
    at = position % len(sealed)
    changed = lock_digests(sealed[:at] + ("x" if sealed[at] != "x" else "y") + sealed[at + 1 :])
    assert changed is None or not changed.intact


@pytest.mark.parametrize("lock", ["", "lock-version = '1.0'\n", 'text = "sha256:00"\n', "\0", "<<<<<<< HEAD\n"])
def test_other_files_have_no_digests(lock: str) -> None:
    """An empty, foreign or damaged file has none."""
    assert lock_digests(lock) is None


def test_truncated_or_extended_lock_has_no_digests() -> None:
    """A lock without its end, or with more text after it, has none."""
    text = seal(f"{VERSION}[tool.minglibc]\n", fingerprint(""))
    assert lock_digests(text[:-1]) is None
    assert lock_digests(text + "[more]\n") is None


def test_line_ends_do_not_matter() -> None:
    """A lock that git checked out with CRLF is intact."""
    digests = lock_digests(seal(f"{VERSION}[tool.minglibc]\n", fingerprint("")).replace("\n", "\r\n"))
    assert digests is not None
    assert digests.intact


def test_import_is_cheap(tmp_path: Path) -> None:
    """Neither importing the module nor a cached result imports tomllib or other slow modules."""
    inputs = fingerprint(PYPROJECT)
    assert is_current_cached(inputs, PYPROJECT, cache=str(tmp_path), folder="/project")
    code = (
        "import sys; from minglibc.lock.digest import is_current_cached;"
        f"assert is_current_cached({inputs!r}, {PYPROJECT!r}, cache={str(tmp_path)!r}, folder='/project');"
        "print(*({'tomllib', 'packaging', 'pathlib', 'dataclasses'} & set(sys.modules)))"
    )
    # A measurement of coverage imports modules of its own.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert "" == ran.stdout.strip()


def test_cached_results(tmp_path: Path) -> None:
    """Only a positive result for the same lock and text is reused; a cache that can't be written changes nothing."""
    inputs, changed = fingerprint(PYPROJECT), PYPROJECT.replace("paramiko", "flask")
    for cache in (str(tmp_path), "/dev/null", str(tmp_path)):
        assert is_current_cached(inputs, PYPROJECT, cache=cache, folder="/project")
        assert not is_current_cached(inputs, changed, cache=cache, folder="/project")
        assert not is_current_cached(fingerprint(""), PYPROJECT, cache=cache, folder="/project")
    assert 1 == sum(path.is_file() for path in tmp_path.rglob("*"))


def test_deep_nesting_has_a_digest() -> None:
    """Tables that are nested too deeply for the parser, or almost, raise no error."""
    for depth in range(0, 3000, 50):
        assert fingerprint(f"[project]\na = {depth * '['}{depth * ']'}") != fingerprint("[project]\na = 1")


def test_processor_matters_with_verify() -> None:
    """The processor only affects a lock whose wheels are read."""
    text = '[project]\nname = "a"\n[tool.minglibc]\nglibc = "2.28"\nverify = true\n'
    assert fingerprint(text) != fingerprint(text + 'cpu = "x86-64-v2"\n')
