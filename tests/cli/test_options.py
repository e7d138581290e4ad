"""Arguments: plain lines are read without argparse, and mean what they mean to it."""

import os
from importlib import import_module
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.cli import COMMANDS
from minglibc.cli.arguments import parser_of
from minglibc.cli.options import Namespace, Parser, add_common

VALUES = ("", "a", "3.9", "always", "x,y", "-x", "--", "a b")


def parser(command: str) -> Parser:
    """What *command* takes."""
    found = Parser(prog=f"minglibc {command}")
    import_module(f"minglibc.cli.{command}").configure(found)
    add_common(found)
    return found


def words(command: str) -> st.SearchStrategy[list[str]]:
    """A line of the command's own options, as they are, cut short or with a value, and of other words."""
    flags = [flag for option in parser(command).options for flag in option.flags]
    flag = st.sampled_from([*flags, *(each[:-2] for each in flags), *(f"{each}=a" for each in flags), *VALUES])
    option = st.tuples(st.sampled_from(flags), st.sampled_from(VALUES)).map(list)
    return st.lists(option | flag.map(lambda each: [each]), max_size=4).map(lambda found: [*chain.from_iterable(found)])


@pytest.mark.parametrize("command", COMMANDS)
@given(data=st.data())
def test_a_plain_line_means_what_it_means_to_argparse(command: str, data: st.DataObject) -> None:
    """Whatever is read without argparse has the values that argparse gives it, and argparse has nothing against it."""
    described = parser(command)
    line = data.draw(words(command))
    variables = {option.variable for option in described.options if option.variable}
    with pytest.MonkeyPatch.context() as patch:
        for variable in data.draw(st.sets(st.sampled_from(sorted(variables)), max_size=2)):
            patch.setenv(variable, data.draw(st.sampled_from(VALUES)))
        found = described.read_plain(line)
        if found is not None:
            assert vars(parser_of(described).parse_args(line)) == vars(found)


@pytest.mark.parametrize(
    ("command", "line", "name", "value"),
    [
        ("lock", ["-q", "--index-url", "http://a", "--python", "3.9", "--python", "3.10"], "python", ["3.9", "3.10"]),
        ("lock", ["-vv"], "verbose", 2),
        ("sync", ["--extra", "a", "-v", "-v"], "verbose", 2),
        ("check", [], "path", []),
        ("add", ["a", "--group", "dev"], "group", "dev"),
    ],
)
def test_every_line_is_read(command: str, line: list[str], name: str, value: object) -> None:
    """Plain or not, a line has its values, and an argument that is not given its default."""
    found = parser(command).parse_args(line)
    assert isinstance(found, Namespace)
    assert value == getattr(found, name)
    assert found.project is None


def test_a_variable_stands_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment has a word on an option, it counts, but for those that have no variable."""
    monkeypatch.setitem(os.environ, "MINGLIBC_COLOR", "never")
    monkeypatch.setitem(os.environ, "MINGLIBC_PYTHON", "3.9, 3.10")
    assert ("never", ["3.9", "3.10"]) == (parser("lock").parse_args([]).color, parser("lock").parse_args([]).python)
    assert parser("sync").parse_args([]).python is None


def test_rivals_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """A requirement goes to a group or to an extra."""
    with pytest.raises(SystemExit, match="2"):
        parser("add").parse_args(["a", "--group", "dev", "--extra", "x"])
    assert "not allowed with argument --group" in capsys.readouterr().err
