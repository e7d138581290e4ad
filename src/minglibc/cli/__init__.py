"""The command line: arguments, dispatch, and errors as people read them."""

import gc
import os
import sys

from minglibc.errors import EXIT_CANNOT, EXIT_USAGE, CacheDamaged, MinglibcError

# Each is a module beside this one, imported when it is called: starting is a feature.
COMMANDS = {
    "init": "add [tool.minglibc] to pyproject.toml",
    "lock": "write pylock.toml: wheels that keep within the glibc cap",
    "sync": "make an environment match the lock",
    "run": "run a command in the environment, syncing it first",
    "add": "add requirements to pyproject.toml, lock and sync",
    "remove": "remove requirements from pyproject.toml, lock and sync",
    "check": "hold wheels' ELF symbols against the cap",
    "outdated": "what the cap holds back, and its known vulnerabilities",
    "why": "why this release of a package, and why none above it",
    "caps": "what every cap would lock",
    "report": "one HTML page of all of this",
    "tree": "what requires what",
    "export": "the lock as requirements.txt or CycloneDX",
    "bundle": "a folder that installs without network",
    "tags": "the wheel tags within the cap",
    "cache": "where the cache is, how large, and how to clear it",
}
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the value is the exit code. Without *arguments* this is the program, and its end."""
    _open_streams()
    if arguments is None:
        # What is imported makes no cycles worth looking for, and looking takes as long as some of the imports.
        gc.disable()
    code = _answer(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _end(code)
    return code


def _open_streams() -> None:
    """Python has no stdout or stderr where the caller closed them (`>&-`): then nobody reads what is written."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  open until the end


def _end(code: int) -> None:
    """Leave at once: taking apart what a lock has made, object by object, would take 10 ms and change nothing."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return  # the interpreter says it in its own way
    os._exit(code)


def _answer(given: list[str]) -> int:
    try:
        return _run_again(given)
    except MinglibcError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence()
        return EXIT_CANNOT
    except OSError as error:
        # What no command foresaw and no traceback helps with: a full disk, a folder that may not be read.
        place = f"{error.filename}: " if error.filename else ""
        say_error(MinglibcError(f"{place}{error.strerror or error}"))
        return EXIT_CANNOT


def _run_again(given: list[str]) -> int:
    """Run a command, once more where the cache misled it: nothing was written before all was known."""
    while True:
        try:
            return _run(given)
        except CacheDamaged as damage:
            from minglibc.cli import color  # noqa: PLC0415

            color.say(f"warning: {damage.message}; beginning again without it")


def _run(given: list[str]) -> int:
    if given[:1] == ["lock"]:
        from minglibc.cli import fresh  # noqa: PLC0415  a lock that is up to date imports no more than this

        done = fresh.answer(given[1:])
        if done is not None:
            return done
        from minglibc.cli import ahead  # noqa: PLC0415  as above

        ahead.begin(given[1:])
    if not given or given[0] in {"-h", "--help", "help"}:
        _print_help()
        return 0 if given else EXIT_USAGE
    if given[0] in {"-V", "--version"}:
        from minglibc import __version__  # noqa: PLC0415

        print(f"minglibc {__version__}")
        return 0
    return _dispatch(given[0], given[1:])


def _dispatch(name: str, rest: list[str]) -> int:
    if name not in COMMANDS:
        from difflib import get_close_matches  # noqa: PLC0415

        close = get_close_matches(name, COMMANDS, 1)
        raise _usage(f"there is no command {name!r}", f"did you mean `minglibc {close[0]}`?" if close else "")
    from minglibc.cli import color  # noqa: PLC0415
    from minglibc.cli.options import Parser, add_common, terminate  # noqa: PLC0415

    # importlib's import_module does no more, and costs an import of its own.
    command = __import__(f"minglibc.cli.{name}", fromlist=["run"])
    parser = Parser(prog=f"minglibc {name}", description=f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.")
    command.configure(parser)
    add_common(parser)
    arguments = parser.parse_args(rest)
    color.choose(arguments.color)
    # What is there by now stays, and is not worth a first look either.
    gc.freeze()
    gc.enable()
    with terminate():
        code: int = command.run(arguments)
    sys.stdout.flush()
    return code


def _usage(message: str, hint: str) -> MinglibcError:
    from minglibc.errors import SettingsError  # noqa: PLC0415

    return SettingsError(message, hint=hint or "`minglibc --help` lists the commands")


def say_error(error: MinglibcError) -> None:
    """Print an error as every command does: lower-case labels, on stderr."""
    from minglibc.cli import color  # noqa: PLC0415

    color.say(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))


def _print_help() -> None:
    print(
        "usage: minglibc COMMAND [OPTIONS]\n\nLock Python environments to wheels that run on your oldest machine's glibc.\n"
    )
    for name, purpose in COMMANDS.items():
        print(f"  {name:10}{purpose}")
    print("\n`minglibc COMMAND --help` explains a command; MINGLIBC_OPTION in the environment stands for --option.")


def _silence() -> None:
    """The reader of stdout has gone: nothing more is written, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
