"""Valid and invalid settings in pyproject.toml."""

# The expected value is on the left.

import tomllib
from datetime import UTC, datetime

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.config import parser, settings
from minglibc.config.problems import Problems
from minglibc.config.settings import Overrides
from minglibc.errors import SettingsError
from minglibc.model.requirements import parse as requirement
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion, PythonVersion, Target

PROJECT = '[project]\nname = "example"\nrequires-python = ">=3.9,<3.12"\ndependencies = ["paramiko"]\n'
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def parse(
    table: str = 'glibc = "2.27"', *, project: str = PROJECT, overrides: Overrides | None = None
) -> settings.Settings:
    """The settings of an ordinary project with this [tool.minglibc]."""
    return parser.parse(f"{project}[tool.minglibc]\n{table}\n", overrides=overrides, now=NOW)


def error_message(table: str = 'glibc = "2.27"', *, project: str = PROJECT, overrides: Overrides | None = None) -> str:
    """The message of the SettingsError."""
    with pytest.raises(SettingsError) as caught:
        parse(table, project=project, overrides=overrides)
    assert 2 == caught.value.exit_code
    return caught.value.message


def target(minor: int, cap: int = 27, architecture: str = "x86_64") -> Target:
    """A target of CPython 3.*minor*."""
    return Target(PythonVersion(minor), architecture, GlibcVersion(2, cap))


def test_defaults() -> None:
    """`glibc` is the only required setting: the targets are all allowed Pythons on x86_64, without warnings."""
    parsed = parse()
    assert (target(9), target(10), target(11)) == parsed.targets
    assert (requirement("paramiko"),) == parsed.requirements
    assert ("example", ">=3.9,<3.12", None, False, "highest", False) == (
        parsed.project,
        parsed.requires_python,
        parsed.index_url,
        parsed.prereleases,
        parsed.resolution,
        parsed.verify,
    )
    assert () == parsed.warnings + parsed.notes + parsed.default_groups


def test_targets_are_sorted_by_python_then_architecture() -> None:
    """The order in the file does not matter."""
    parsed = parse('python = ["3.11", "3.9"]\narchitectures = ["x86_64", "aarch64"]\nglibc = "manylinux_2_28"')
    expected = [target(minor, 28, arch) for minor in (9, 11) for arch in ("aarch64", "x86_64")]
    assert expected == list(parsed.targets)


def test_glibc_by_architecture() -> None:
    """A table of caps also selects the architectures."""
    parsed = parse('python = "3.9"\nglibc = { x86_64 = "manylinux2014", aarch64 = "2.28" }')
    assert (target(9, 28, "aarch64"), target(9, 17)) == parsed.targets


@pytest.mark.parametrize(
    ("table", "message"),
    [
        # C1
        ("glibc = 2.17", "tool.minglibc.glibc (line 6) is the number 2.17; write it in quotes"),
        ("glibc = 2", "is the number 2; write it in quotes"),
        ("glibc = true", "is true; expected a string"),
        # C2
        *((f'glibc = "{value}"', '"2.27"') for value in ("2.x", "2", "2.17.1", "v2.17", " 2.17", "\uff12.17", "", "2." + 5000 * "9")),
        # C3
        ('glibc = "2.4"', "from glibc 2.5 on"),
        ('glibc = "2.12"\narchitectures = ["aarch64"]', "too old for aarch64"),
        ('glibc = "2.17"\narchitectures = ["riscv64"]', "from glibc 2.27 on"),
        ('glibc = { aarch64 = "2.12" }', "tool.minglibc.glibc.aarch64"),
        ('glibc = { x86_64 = "2.17" }\narchitectures = ["x86_64", "aarch64"]', "has no entry for aarch64"),
        ('glibc = { x86_64 = "2.17", aarch64 = "2.17" }\narchitectures = ["x86_64"]', "is for an architecture that is not in"),
        ("glibc = {}", "is empty"),
        ('python = ["3.9"]', "tool.minglibc.glibc is missing"),
        # C4
        ('glibc = "3.0"', "there is no glibc 3.0"),
        ('glibc = "2.1000"', "'2.1000' is not a glibc version"),
        # C5
        ('glibc = "2.17"\narch = ["aarch64"]', "tool.minglibc.arch (line 7) is not a known setting; did you mean architectures?"),
        ('glibc = "2.17"\nglibcs = "2"', "tool.minglibc.glibcs (line 7) is not a known setting; did you mean glibc?"),
        ('glibc = "2.17"\nzzz = 1', "known settings: glibc, musl, python"),
        ('glibc = "2.17"\n[tool.minlibc]', "tool.minlibc (line 7) is not a known table"),
        ('glibc = "2.17"\n[tool.MinGlibc]', "tool.MinGlibc (line 7)"),
        ('glibc = "2.17"\n[dependency-group]\na = []', "did you mean [dependency-groups]?"),
        # C6
        ('glibc = "2.17"\n[tool.minglibc]', "the table [tool.minglibc] is defined twice"),
        # C7
        ('glibc = "2.17"\narchitectures = ["amd64"]', "it is called x86_64"),
        ('glibc = "2.17"\narchitectures = ["arm64"]', "it is called aarch64"),
        ('glibc = "2.17"\narchitectures = ["x86-64"]', "it is called x86_64"),
        ('glibc = "2.17"\narchitectures = []', "is empty"),
        ('glibc = "2.17"\narchitectures = "x86_64"', "expected a list of strings"),
        # C8
        *((f'glibc = "2.17"\npython = {value}', "tool.minglibc.python") for value in ('["3"]', '">=3.9"', '["2.7"]', '["3.99"]', "[]")),
        ('glibc = "2.17"\npython = 3.10', "TOML reads the number 3.10 as 3.1"),
        ('glibc = "2.17"\npython = [3.10]', "TOML reads the number 3.10 as 3.1"),
        ('glibc = "2.17"\npython = ["3.9", "3.9"]', "lists 3.9 twice"),
        ('glibc = "2.17"\npython = ["3.9", "3.9.2"]', "can't tell apart"),
        # C9
        ('glibc = "2.17"\npython = ["3.12"]', "includes 3.12, which project.requires-python >=3.9,<3.12 excludes"),
        # C14
        *((f'glibc = "2.17"\nindex-url = "{url}"', "expected a URL such as") for url in ("ftp://x/", "x/simple", "https://x/#a", "https://", "http://x y")),
        # other settings
        ('glibc = "2.17"\nprereleases = "yes"', "true, false or a list of names"),
        ('glibc = "2.17"\nresolution = "newest"', '"highest", "lowest", "lowest-direct"'),
        ('glibc = "2.17"\nverify = 1', "expected true or false"),
        ('glibc = "2.17"\nexclude-newer = "yesterday"', "expected a date"),
        ('glibc = "2.17"\nexclude-newer = 2026-01-01T00:00:00', "a time with a time zone"),
        ('glibc = "2.17"\nexclude-newer = "2026-13-01"', "expected a date"),
        ('glibc = "2.17"\nexclude-newer = "9999-12-31"', "expected a date"),
        ('glibc = "2.17"\nexclude-newer = "999999 weeks"', "expected a date"),
        ('glibc = "2.17"\nallow-linux-tag = ["a b"]', "expected a project name"),
        ('glibc = "2.17"\nallow-sdist = true', "expected a list of strings"),
        ('glibc = "2.17"\nallow-sdist = ["a>1"]', "expected a project name"),
        ('glibc = "2.17"\nexcludes = ["a==1"]', "without version or extras"),
        ('glibc = "2.17"\nconstraints = ["a=1"]', "tool.minglibc.constraints[0] (line 7)"),
        ('glibc = "2.17"\noverrides = "a"', "expected a list of strings"),
        ('glibc = "2.17"\ndefault-groups = ["dev"]', "there is no [dependency-groups]"),
        # musl
        ("musl = 1.2", 'tool.minglibc.musl (line 6) is the number 1.2; write it in quotes, "1.2"'),
        ('musl = "2.17"', "is invalid: there is no musl 2.17: every release is 1.x; 2.x is glibc's"),
        ('musl = "1.2.3"', 'write "1.2" or "musllinux_1_2"'),
        ('musl = "1.0"', "is too low: musl 1.0 is too old for x86_64, which has wheels from musl 1.1 on"),
        ("musl = true", 'expected a string: "1.2" or "musllinux_1_2"'),
        ('musl = "1.9999"', "is not a musl version"),
        ("musl = {}", 'is empty; write musl = { x86_64 = "1.2" }'),
        ('glibc = "1.2"', "is invalid: there is no glibc 1.2: every release is 2.x; 1.x is musl's"),
        ('glibc = "2.17"\nmusl = { x86_64 = "1.2" }\narchitectures = ["x86_64", "aarch64"]', "tool.minglibc.musl (line 7) has no entry for aarch64"),
        ('python = "3.9"', "tool.minglibc.glibc is missing"),
    ],
)  # fmt: skip
def test_invalid_values(table: str, message: str) -> None:
    """An invalid value in [tool.minglibc] is reported with its key and the accepted values."""
    assert message in error_message(table)


@pytest.mark.parametrize(
    ("project", "message"),
    [
        # C11
        ("", "project is missing; write [project]"),
        ("project = 1\n", "project (line 1) is the number 1; expected a table"),
        ('[project]\ndependencies = "a"\nrequires-python = ">=3.9"\n', "expected a list of strings"),
        ('[project]\nname = "a"\n', 'write requires-python = ">=3.9" under [project]'),
        ('[project]\nrequires-python = "3.9+"\n', "expected a version specifier"),
        ('[project]\nrequires-python = ">=4"\n', "excludes every CPython from 3.6 to"),
        ('[project]\nrequires-python = ">=3.9"\ndependancies = []\n', "did you mean dependencies?"),
        # C12
        (PROJECT.replace("paramiko", "a=1"), "project.dependencies[0] (line 4) is 'a=1'"),
        (PROJECT.replace("paramiko", "a; bogus == '1'"), "is not a marker"),
        (PROJECT.replace("paramiko", "a>=x"), "project.dependencies[0]"),
        (PROJECT.replace('"paramiko"', '"a", 3'), "project.dependencies[1] (line 4) is the number 3"),
        (
            f'{PROJECT}[project.optional-dependencies]\na = ["example[b]"]\nb = ["example[a]"]\n',
            "is a circular reference between extras: a → b → a",
        ),
        (f'{PROJECT}[project.optional-dependencies]\nA_b = []\n"a-b" = []\n', "is a duplicate: an earlier name is"),
        # C13
        (PROJECT.replace("paramiko", "Example"), "is 'Example': the project depends on itself"),
        (PROJECT.replace('"paramiko"', '"a==1", "a==2"'), "is 'a==2', which conflicts with 'a==1'"),
        # PEP 735
        (f'{PROJECT}[dependency-groups]\na = [{{include-group = "b"}}]\n', "'b', which is not a dependency group"),
        (
            f'{PROJECT}[dependency-groups]\na = [{{include-group = "a"}}]\n',
            "is a circular reference between groups: a → a",
        ),
        (
            f"{PROJECT}[dependency-groups]\na = [{{include = 1}}]\n",
            'expected a requirement or { include-group = "name" }',
        ),
        (f'{PROJECT}[dependency-groups]\na = ["x", {{}}, 3]\n', "dependency-groups.a[2] (line 6) is the number 3"),
    ],
)
def test_invalid_project_tables(project: str, message: str) -> None:
    """A mistake in the other tables is reported with its key and the fix."""
    assert message in error_message(project=project)


def test_every_mistake_is_reported_at_once() -> None:
    """One run reports every mistake."""
    message = error_message("glibc = 2.17\nglibcs = 1\npython = [3.10]", project=PROJECT.replace("paramiko", "a=1"))
    for key in ("tool.minglibc.glibc ", "tool.minglibc.glibcs", "tool.minglibc.python[0]", "project.dependencies[0]"):
        assert 1 == message.count(f"  {key}")


def test_missing_table() -> None:
    """Without [tool.minglibc], the message shows the lines to add, and the hint the command that adds them."""
    with pytest.raises(SettingsError) as caught:
        parser.parse(PROJECT)
    assert "minglibc init" in caught.value.hint
    lines = [line.strip() for line in caught.value.message.splitlines()[-3:]]
    assert ("2.17", ["3.9", "3.11"]) == tuple(tomllib.loads("\n".join(lines))["tool"]["minglibc"].values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project]\nname = \n", "pyproject.toml is not valid TOML: Invalid value (line 2, column 8)"),
        ("[project]\n<<<<<<< HEAD\nname = 'a'\n", "merge-conflict marker at line 2"),
        ("[[tool.minglibc]]\n", "expected one table: [tool.minglibc]"),
        ("tool = 3\n", "tool (line 1) is the number 3"),
        ("a = " + 5000 * "9", "it contains a number that is too long"),
        ("a = " + 5000 * "[", "is not valid TOML"),
    ],
)
def test_invalid_toml(text: str, message: str) -> None:
    """Syntax errors have a line and column; merge-conflict markers and tables of another type have their own messages."""
    with pytest.raises(SettingsError) as caught:
        parser.parse(text)
    assert message in caught.value.message


def test_byte_order_mark() -> None:
    """A byte order mark is ignored."""
    text = f'{PROJECT}[tool.minglibc]\nglibc = "2.27"\n'
    assert parser.parse(text) == parser.parse(f"\ufeff{text}")


def test_warnings() -> None:
    """An unknown future cap and credentials in the file are warnings, not errors."""
    parsed = parse('glibc = "2.99"\nindex-url = "https://me:secret@example.invalid/simple"')
    assert 2 == len(parsed.warnings)
    assert "2.99 is newer" in parsed.warnings[0]
    assert "secret" not in parsed.warnings[1]


def test_invalid_url_hides_password() -> None:
    """The password in an invalid index-url is not printed."""
    assert "secret" not in error_message('glibc = "2.17"\nindex-url = "ftp://me:secret@example.invalid"')


def test_included_extras_and_groups() -> None:
    """References to extras and groups are replaced by their requirements, with combined markers."""
    parsed = parse(
        'glibc = "2.17"\ndefault-groups = ["Dev"]',
        project=f"""{PROJECT}
[project.optional-dependencies]
Web = ["example[cli]; python_version < '3.10'", "django"]
cli = ["click; sys_platform == 'linux'"]
[dependency-groups]
dev = [{{ include-group = "Test_1" }}, "ruff"]
test-1 = ["pytest", "example[cli]"]
""",
    )
    click = requirement("click; sys_platform == 'linux'")
    narrowed = requirement("click; (sys_platform == 'linux') and (python_version < '3.10')")
    assert {"web": (narrowed, requirement("django")), "cli": (click,)} == {
        name: tuple(sorted(parsed.extras[name])) for name in parsed.extras
    }
    test = {click, requirement("pytest"), requirement("paramiko")}
    assert {"dev": test | {requirement("ruff")}, "test-1": test} == {
        name: set(parsed.groups[name]) for name in parsed.groups
    }
    assert ("dev",) == parsed.default_groups


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('musl = "1.2"', [("x86_64", MuslVersion(1, 2))]),
        ('musl = "musllinux_1_1"', [("x86_64", MuslVersion(1, 1))]),
        ('glibc = "2.17"\nmusl = "1.2"', [("x86_64", GlibcVersion(2, 17)), ("x86_64", MuslVersion(1, 2))]),
        (
            'glibc = { x86_64 = "2.17", aarch64 = "2.28" }\nmusl = { x86_64 = "1.2" }',
            [("aarch64", GlibcVersion(2, 28)), ("x86_64", GlibcVersion(2, 17)), ("x86_64", MuslVersion(1, 2))],
        ),
        (
            'glibc = "2.17"\nmusl = { aarch64 = "1.2" }',
            [("aarch64", MuslVersion(1, 2)), ("x86_64", GlibcVersion(2, 17))],
        ),
        (
            'glibc = "2.17"\nmusl = "1.2"\narchitectures = ["aarch64"]',
            [("aarch64", GlibcVersion(2, 17)), ("aarch64", MuslVersion(1, 2))],
        ),
    ],
)
def test_caps_for_both_c_libraries(table: str, expected: list[tuple[str, Cap]]) -> None:
    """There is a target for each C library that has a cap; a table of caps has its own architectures."""
    parsed = parse(f'python = "3.9"\n{table}')
    assert [Target(PythonVersion(9), architecture, cap) for architecture, cap in expected] == list(parsed.targets)
    assert () == parsed.warnings


def test_unknown_musl() -> None:
    """A cap above the newest known musl is a warning."""
    assert ("musl 1.3 is newer than the newest version known to this minglibc (1.2)",) == parse('musl = "1.3"').warnings


def test_option_for_musl() -> None:
    """--musl replaces or adds the musl cap, and --glibc the glibc cap."""
    for overrides, expected in (
        (Overrides(musl="1.1"), {GlibcVersion(2, 27), MuslVersion(1, 1)}),
        (Overrides(glibc="2.17"), {GlibcVersion(2, 17), MuslVersion(1, 2)}),
    ):
        assert expected == {target.cap for target in parse('glibc = "2.27"\nmusl = "1.2"', overrides=overrides).targets}
    assert (MuslVersion(1, 2),) == tuple(
        {target.cap for target in parser.parse(PROJECT, overrides=Overrides(musl="1.2")).targets}
    )


def test_named_targets_with_musl() -> None:
    """A target uses its own glibc or musl, or else the only one in the table."""
    tables = (
        '[[tool.minglibc.target]]\nname = "a"\npython = "3.9"\n[[tool.minglibc.target]]\nname = "b"\npython = "3.9"\n'
    )
    parsed = parse(f'glibc = "2.27"\n{tables}musl = "1.2"')
    assert {"a": target(9), "b": Target(PythonVersion(9), "x86_64", MuslVersion(1, 2))} == parsed.target_names
    message = error_message(f'glibc = "2.27"\nmusl = "1.2"\n{tables}glibc = "2.17"')
    assert "target[0] (line 8) has neither glibc nor musl, and tool.minglibc has both; add one of them here" in message
    assert "--musl can't be combined with" in error_message(
        f'glibc = "2.27"\n{tables}musl = "1.2"', overrides=Overrides(musl="1.1")
    )


def test_named_targets() -> None:
    """[[tool.minglibc.target]] tables define named targets."""
    parsed = parse("""glibc = "2.31"
[[tool.minglibc.target]]
name = "controllers"
python = "3.9"
glibc = "2.27"
[[tool.minglibc.target]]
name = "gateways"
python = "3.11"
architecture = "aarch64"
""")
    assert {"controllers": target(9), "gateways": target(11, 31, "aarch64")} == parsed.target_names
    assert (target(9), target(11, 31, "aarch64")) == parsed.targets


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ('name = "a"\npython = "3.9"\nglibc = "2.27"', 'name = "b"\npython = "3.9"\nglibc = "2.31"', "use 2.27 for both"),
        ('name = "a"\npython = "3.9"\nglibc = "2.27"', 'name = "a"\npython = "3.11"\nglibc = "2.27"', "an earlier target"),
        ('name = "a"\npython = "3.9"\nglibc = "2.27"', 'name = "b"\npythons = "3.9"\nglibc = "2.27"', "target[1].pythons (line 10) is not a known setting; did you mean python?"),
        ('python = "3.9"\nglibc = "2.27"', 'name = "b"\nglibc = "2.27"', "target[0].name (line 6) is missing"),
        ('name = "a"\npython = "3.9"\nmusl = "1.2"', 'name = "b"\npython = "3.9"\nmusl = "1.1"', "a and b, which differ only in musl and which a lock can't tell apart; use 1.1 for both"),
        ('name = "a"\npython = "3.9"\nmusl = "1.2"\nglibc = "2.17"', 'name = "b"\npython = "3.10"\nmusl = "1.1"', "target[0] (line 6) has both glibc and musl; write one target for each"),
        ('name = "a"\npython = "3.9"\nmusl = "1.2"', 'name = "b"\npython = "3.9.2"\nglibc = "2.17"', "lists 3.9 and 3.9.2"),
        ('name = "a"\npython = "3.9"\nglibc = "2.27"', 'name = "b"\npython = "3.13"\nglibc = "2.27"', "includes 3.13, which"),
    ],
)  # fmt: skip
def test_invalid_target_tables(first: str, second: str, message: str) -> None:
    """Targets that a lock can't distinguish, and invalid tables, are reported with their position."""
    assert message in error_message(f"[[tool.minglibc.target]]\n{first}\n[[tool.minglibc.target]]\n{second}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"2026-11-01"', datetime(2026, 11, 2, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 2, tzinfo=UTC)),
        ('"2026-11-01T10:00:00+02:00"', datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01T10:00:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ('"7 days"', datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ('"1 second"', datetime(2026, 11, 22, 11, 59, 59, tzinfo=UTC)),
        ('"30 minutes"', datetime(2026, 11, 22, 11, 30, tzinfo=UTC)),
        ('"P1W"', datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ('"12 hours"', datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_exclude_newer(value: str, expected: datetime) -> None:
    """A date includes its day, a time needs a time zone, and a duration counts back from now; the result is in UTC."""
    parsed = parse(f'glibc = "2.17"\nexclude-newer = {value}\nexclude-newer-package = {{ Torch = {value}, b = false }}')
    assert expected == parsed.exclude_newer
    assert {"torch": expected, "b": None} == parsed.exclude_newer_package


def test_other_settings() -> None:
    """Names are normalized, and lists of requirements are parsed."""
    parsed = parse("""glibc = "2.17"
prereleases = ["A_b"]
allow-linux-tag = ["C.d"]
allow-sdist = ["H_i"]
excludes = ["E"]
constraints = ["f<2"]
overrides = ["g==1"]
resolution = "lowest-direct"
verify = true
index-url = "http://127.0.0.1:8080/simple/"
""")
    assert (frozenset({"a-b"}), frozenset({"c-d"}), frozenset({"e"})) == (
        parsed.prereleases,
        parsed.allow_linux_tag,
        parsed.excludes,
    )
    assert ((requirement("f<2"),), (requirement("g==1"),)) == (parsed.constraints, parsed.overrides)
    assert frozenset({"h-i"}) == parsed.allow_sdist
    assert ("lowest-direct", True, "http://127.0.0.1:8080/simple/") == (
        parsed.resolution,
        parsed.verify,
        parsed.index_url,
    )


def test_overrides() -> None:
    """Options on the command line replace the settings of the file, and a note says so."""
    parsed = parse(
        overrides=Overrides(glibc="2.28", python=("3.11",), architectures=("aarch64",), index_url="http://x/")
    )
    assert (target(11, 28, "aarch64"),) == parsed.targets
    assert ("--glibc 2.28 (command line or environment) overrides tool.minglibc.glibc in the file",) == parsed.notes
    assert "http://x/" == parsed.index_url


def test_invalid_overrides() -> None:
    """A mistake on the command line is reported with the option."""
    message = error_message(overrides=Overrides(glibc="2.x", python=("3.99",), architectures=("amd64",)))
    assert ["--arch[0]", "--glibc", "--python[0]"] == sorted(line.split()[0] for line in message.splitlines()[1:])


def test_override_without_table() -> None:
    """`--glibc` is enough for a project without [tool.minglibc]."""
    assert GlibcVersion(2, 17) == parser.parse(PROJECT, overrides=Overrides(glibc="2.17")).targets[0].cap


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 400) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["2.17", "3.9", "x86_64", "a", "a>=1", "highest", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x86_64", "include-group", "a"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(settings.KEYS), _values), st.dictionaries(st.sampled_from(["name", "dependencies", "requires-python", "dynamic", "optional-dependencies"]), _values), _values)  # fmt: skip
@hypothesis.settings(max_examples=50)
def test_arbitrary_values(table: dict[str, object], project: dict[str, object], groups: object) -> None:
    """For any TOML values, the result is valid settings or a list of problems."""
    document = {"project": project, "tool": {"minglibc": table}, "dependency-groups": groups}
    problems = Problems("", {})
    parsed = parser.parse_document(document, problems, NOW)
    assert problems.messages or parsed.targets


@pytest.mark.parametrize(
    "key", ["a[b", "a[", "a[1]b", "[", "]", "a[99999999999]", "a[" + "9" * 5000 + "]", "\\n", "a.b[c]"]
)
def test_keys_with_brackets(key: str) -> None:
    """An unknown key is named, whatever it contains, on one line."""
    for text in (
        f'[tool.minglibc]\n"{key}" = 1\n',
        f'[tool.minglibc.sources]\n"{key}" = 1\n',
        f'[[tool.minglibc.index]]\n"{key}" = 1\n',
    ):
        with pytest.raises(SettingsError) as caught:
            parser.parse(f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\n{text}')
        assert all(line.isprintable() for line in caught.value.message.split("\n"))
