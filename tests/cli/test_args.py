"""Arguments and the variables that stand for them."""

from importlib import import_module

import pytest

from minglibc.cli.args import ArgumentParser, add_common, common_options_before
from minglibc.cli.equivalents import EQUIVALENTS
from tests.support.commands import minglibc


def parser(command: str) -> ArgumentParser:
    """The parser of *command*."""
    parser = ArgumentParser(f"minglibc {command}")
    import_module(f"minglibc.cli.{command}").configure(parser)
    add_common(parser)
    return parser


@pytest.mark.parametrize(
    ("command", "line", "name", "value"),
    [
        ("lock", ["-q", "--index-url", "http://a", "--python", "3.9", "--python", "3.10"], "python", ["3.9", "3.10"]),
        ("lock", ["-vv"], "verbose", 2),
        ("sync", ["--extra", "a", "-v", "-v"], "verbose", 2),
        ("check", [], "path", []),
        ("add", ["a", "--group", "dev"], "group", "dev"),
        ("run", ["--frozen", "program", "--version", "-q"], "command", ["program", "--version", "-q"]),
        ("run", ["--script", "a.py", "-q", "x"], "script", ["a.py", "-q", "x"]),
    ],
)
def test_arguments(command: str, line: list[str], name: str, value: object) -> None:
    """Options and positional arguments have their values, and others their defaults."""
    arguments = parser(command).parse_args(line)
    assert value == getattr(arguments, name)
    assert arguments.project is None


@pytest.mark.parametrize(
    ("command", "variable", "text", "value"),
    [
        ("lock", "MINGLIBC_COLOR", "never", "never"),
        ("lock", "MINGLIBC_PYTHON", "3.9, 3.10", ["3.9", "3.10"]),
        ("lock", "MINGLIBC_VERBOSE", "2", 2),
        ("lock", "MINGLIBC_VERBOSE", "yes", 1),
        ("lock", "MINGLIBC_VERBOSE", "off", 0),
        ("lock", "MINGLIBC_OFFLINE", "1", True),
        ("lock", "MINGLIBC_OFFLINE", "No", False),
        ("lock", "MINGLIBC_INDEX_URL", "http://a", "http://a"),
        ("tree", "MINGLIBC_DEPTH", "3", 3),
        ("sync", "MINGLIBC_LINK_MODE", "copy", "copy"),
        # These have no variable.
        ("sync", "MINGLIBC_PYTHON", "3.9", None),
        ("add", "MINGLIBC_GROUP", "dev", None),
    ],
)
def test_variables(monkeypatch: pytest.MonkeyPatch, command: str, variable: str, text: str, value: object) -> None:
    """A variable sets its option."""
    monkeypatch.setenv(variable, text)
    arguments = parser(command).parse_args(["a"] if command == "add" else [])
    assert value == getattr(arguments, variable.removeprefix("MINGLIBC_").lower())


@pytest.mark.parametrize("command", ["lock", "sync"])
def test_command_line_overrides_variables(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """An option on the command line replaces the value of its variable, also where it can be repeated."""
    monkeypatch.setenv("MINGLIBC_PYTHON", "3.9")
    monkeypatch.setenv("MINGLIBC_COLOR", "never")
    arguments = parser(command).parse_args(["--python", "3.12", "--color", "always"])
    assert "always" == arguments.color
    assert arguments.python in (["3.12"], "3.12")


@pytest.mark.parametrize(
    ("command", "assignment", "message"),
    [
        ("lock", "MINGLIBC_COLOR=pink", "MINGLIBC_COLOR is 'pink'; choose from auto, always, never"),
        ("tree", "MINGLIBC_DEPTH=deep", "MINGLIBC_DEPTH: 'deep' is not a number of levels"),
    ],
)
def test_invalid_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, assignment: str, message: str
) -> None:
    """An invalid value of a variable is a usage error that names the variable."""
    monkeypatch.setenv(*assignment.split("="))
    with pytest.raises(SystemExit, match="2"):
        parser(command).parse_args([])
    assert f"error: {message}\n" in capsys.readouterr().err


def test_every_variable_is_in_the_help() -> None:
    """--help names the variable of each option that has one."""
    text = " ".join(parser("sync").format_help().split())
    assert "[MINGLIBC_GROUP]" in text
    assert "MINGLIBC_PYTHON" not in text


def test_group_and_extra_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """A requirement is added to a group or to an extra."""
    with pytest.raises(SystemExit, match="2"):
        parser("add").parse_args(["a", "--group", "dev", "--extra", "x"])
    assert "not allowed with argument --group" in capsys.readouterr().err


def test_dev_is_a_group() -> None:
    """`add --dev` is `add --group dev`."""
    assert "dev" == parser("add").parse_args(["--dev", "pytest"]).group
    assert parser("add").parse_args(["pytest"]).group is None


def test_options_are_not_abbreviated() -> None:
    """`--index` is not `--index-url`."""
    with pytest.raises(SystemExit):
        parser("lock").parse_args(["--index-ur", "https://example.invalid/"])


@pytest.mark.parametrize(
    ("command", "options", "hint"),
    [
        ("sync", "--with rich", "`minglibc run --with PACKAGE`"),
        ("sync", "--only-dev", "use --only-group dev"),
        ("sync", "--index https://example.invalid/", "[[tool.minglibc.index]]"),
        ("lock", "--extra-index-url=https://example.invalid/", "[[tool.minglibc.index]]"),
        ("sync", "--unknown", "`minglibc sync --help` lists the options"),
    ],
)
def test_options_of_other_tools(command: str, options: str, hint: str) -> None:
    """An option of uv or pip that minglibc does not have names what to use instead."""
    ran = minglibc(command, *options.split())
    assert 2 == ran.code
    assert hint in ran.err


def test_equivalents_are_no_options() -> None:
    """An option that all commands have is not listed as one of another tool."""
    commands = ("lock", "sync", "run", "add", "export")
    own = set.intersection(*(set(parser(command)._option_string_actions) for command in commands))
    assert set(EQUIVALENTS).isdisjoint(own)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-q", "lock"], 1),
        (["-qv", "--project", "lock", "sync"], 3),
        (["--project=a", "--color", "never", "sync", "--frozen"], 3),
        (["-v"], 1),
        (["--project"], 2),
    ],
)
def test_options_before_the_command(arguments: list[str], count: int) -> None:
    """Options of every command can be before it, with their values."""
    assert count == common_options_before(arguments)


@pytest.mark.parametrize("option", ["--frozen", "-x", "-qx", "-"])
def test_unknown_options_before_the_command(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the command, other options are errors."""
    with pytest.raises(SystemExit):
        common_options_before([option, "lock"])
    error = capsys.readouterr().err
    assert f"unknown option {option} before the command" in error
    assert "hint: options of a command follow it" in error


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-q", "tags", "--glibc", "2.17"], 0, "manylinux_2_17_x86_64"),
        (["help", "tags"], 0, "usage: minglibc tags"),
        (["help"], 0, "usage: minglibc"),
        (["--version", "--json"], 0, '{"version": "'),
        (["-q"], 2, "usage: minglibc"),
        (["install"], 2, "use `minglibc sync`"),
        (["pip", "install", "foo"], 2, "use `minglibc add NAME`"),
        (["pip", "unknown"], 2, "use `minglibc export`"),
        (["lok"], 2, "did you mean `minglibc lock`?"),
        (["help", "lok"], 2, "did you mean `minglibc lock`?"),
        (["cache", "clean"], 2, "use `minglibc cache clear`"),
    ],
)
def test_commands_of_other_tools(arguments: list[str], code: int, text: str) -> None:
    """Help, the version and unknown commands answer as users of other tools expect."""
    ran = minglibc(*arguments)
    assert code == ran.code
    assert text in ran.out + ran.err
