"""`minglibc completion` in the shells themselves, and the man pages of the same parsers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.cli import COMMANDS
from minglibc.cli.completion import SHELLS, subparsers, whole_parser
from tests.support.commands import minglibc

ROOT = Path(__file__).parents[2]
# Each prints what completes `minglibc c` and `minglibc lock --version-policy `; the script is the first argument.
BASH = """
source "$1"
complete -p minglibc > /dev/null
COMP_WORDS=(minglibc c) COMP_CWORD=1
_shtab_minglibc
printf '%s\\n' "${COMPREPLY[@]}"
COMP_WORDS=(minglibc lock --version-policy '') COMP_CWORD=3
_shtab_minglibc
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
source $argv[1]
complete -C 'minglibc c' | string split -f 1 \\t
complete -C 'minglibc lock --version-policy ' | string split -f 1 \\t
"""
ZSH = """
zmodload zsh/zpty
cp "$1" "$1:h/_minglibc"
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($1:h \\$fpath); autoload -U compinit; compinit -u -D; echo re''ady"
zpty -r -m shell output '*ready*'
zpty -w -n shell $'minglibc c\\t\\t'
zpty -r -m shell output '*completion*'
print -r -- "$output"
zpty -w -n shell $'\\x15minglibc lock --version-policy \\t\\t'
zpty -r -m shell output '*same*'
print -r -- "$output"
"""
PROGRAMS = {"bash": (BASH, "--norc"), "fish": (FISH, "--no-config"), "zsh": (ZSH, "-f")}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_completion_in_shells(tmp_path: Path, shell: str) -> None:
    """The script completes commands and the choices of an option."""
    executable = shutil.which(shell)
    if executable is None:
        pytest.skip(f"needs {shell}")
    program, option = PROGRAMS[shell]
    script, test = tmp_path / "script", tmp_path / "test"
    script.write_text(minglibc("completion", shell).out)
    test.write_text(program)
    command = [executable, option, str(test), str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    words = set(re.findall(r"\w+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", ran.stdout)))
    assert {"cache", "caps", "check", "completion", "same", "nearest", "newest"} <= words, ran.stdout


def test_all_commands_are_completed() -> None:
    """The script has every command and option, without the names of variables."""
    script = minglibc("completion", "bash").out
    parsers = subparsers(whole_parser(variables=False))
    assert set(COMMANDS) == set(parsers)
    options = {option for parser in parsers.values() for option in parser._option_string_actions}
    shown = {
        option
        for parser in parsers.values()
        for a in parser._actions
        if a.help != "==SUPPRESS=="
        for option in a.option_strings
    }
    assert shown <= options
    assert all(option in script for option in shown)
    assert "MINGLIBC_" not in script
    assert 2 == minglibc("completion", "tcsh").code


@pytest.mark.slow
def test_man_pages(tmp_path: Path) -> None:
    """Each command has a page with all of its options, in which no line is a request of roff by accident."""
    pytest.importorskip("argparse_manpage")
    command = [sys.executable, "-m", "website.man_pages", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    pages = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert {"minglibc", *(f"minglibc-{name}" for name in COMMANDS)} == set(pages)
    for name, parser in subparsers(whole_parser(variables=True)).items():
        text = pages[f"minglibc-{name}"].replace("\\-", "-")
        assert text.startswith(f'.TH MINGLIBC-{name.upper()} "1" ')
        for action in parser._actions:
            if action.help != "==SUPPRESS==" and action.option_strings != ["-h", "--help"]:
                assert all(option in text for option in action.option_strings), (name, action)
        assert {"B", "TH", "SH", "TP", "nh", "ad", "br", "SS", "RS", "RE", "PP"} >= set(
            re.findall(r"^\.([^\s\\]+)", text, re.MULTILINE)
        )
