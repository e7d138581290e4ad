"""The options of `lock` that are read without argparse: the same values as argparse gives."""

from pathlib import Path

import pytest

from minglibc.app.lock import LockOptions
from minglibc.cli import args, lock, plain_options


def _as_argparse(arguments: list[str]) -> tuple[LockOptions, bool, bool]:
    parser = args.ArgumentParser()
    lock.configure(parser)
    args.add_common(parser)
    options = parser.parse_args(arguments)
    return lock.lock_options(options), options.check, options.quiet


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-q"],
        ["--quiet", "--offline"],
        ["--check"],
        ["--cache-dir", "a", "--cache-dir", "b"],
        ["--index-url", "https://index.example.invalid/simple", "-q", "-q"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"MINGLIBC_OFFLINE": "1", "MINGLIBC_CACHE_DIR": "c"},
        {"MINGLIBC_OFFLINE": "No", "MINGLIBC_CACHE_DIR": "", "MINGLIBC_INDEX_URL": ""},
        {"MINGLIBC_INDEX_URL": "https://other.example.invalid/simple"},
    ],
    ids=" ".join,
)
def test_the_same_options_as_argparse(
    arguments: list[str], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways read the same options from the command line and the environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plain = plain_options.parse(arguments)
    assert plain is not None
    options, check, quiet = _as_argparse(arguments)
    common = options.common
    assert LockOptions(common) == options
    assert (plain.cache_dir, plain.offline, plain.index_url) == (common.cache_dir, common.offline, common.index_url)
    assert (plain.check, plain.quiet) == (check, quiet)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--upgrade"],
        ["-v"],
        ["--help"],
        ["--cache-dir"],
        ["--cache-dir", "-q"],
        ["--cache-dir", ""],
        ["--cache-dir=a"],
        ["--no-such-option"],
        ["name"],
        ["--"],
    ],
    ids=" ".join,
)
def test_arguments_for_argparse(arguments: list[str]) -> None:
    """Other arguments, and mistakes, are left to argparse."""
    assert plain_options.parse(arguments) is None


def test_variables_for_argparse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable of another option is left to argparse."""
    monkeypatch.setenv("MINGLIBC_PROJECT", str(tmp_path))
    assert plain_options.parse([]) is None
