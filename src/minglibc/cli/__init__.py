"""The command line: dispatch, output streams and exit codes."""

import gc
import os
import sys

from minglibc.errors import EXIT_CANNOT, EXIT_USAGE, CacheDamaged, MinglibcError, SettingsError

# Each command is a module in this package and is imported when it runs: importing all of them takes longer than most
# commands.
DESCRIPTION = "Lock Python environments to wheels that run on your oldest machine's glibc."
COMMANDS = {
    "init": "Add [tool.minglibc] to pyproject.toml",
    "lock": "Lock the project to wheels that are compatible with the glibc cap",
    "sync": "Update the environment to match the lock",
    "run": "Run a command in the environment, syncing it first if needed",
    "add": "Add requirements to the project",
    "remove": "Remove requirements from the project",
    "build": "Build wheels of packages from source, for all targets",
    "check": "Check that binaries are compatible with the cap",
    "outdated": "List packages that the cap holds back, and known vulnerabilities",
    "why": "Explain why a version was selected",
    "caps": "Compare resolutions under different caps",
    "report": "Write an HTML report of the lock",
    "tree": "Show the dependency tree",
    "export": "Export the lock to requirements.txt or CycloneDX",
    "bundle": "Create a folder that installs without network access",
    "serve": "Serve an index that has only the files within a cap",
    "tags": "List the wheel tags that the cap allows",
    "cache": "Show the cache's location or size, or clear it",
    "completion": "Print the completion script of a shell",
}
# What users of other tools try, and the command for it.
_OTHER_NAMES = {
    "install": "sync",
    "upgrade": "lock --upgrade",
    "update": "lock --upgrade",
    "list": "tree",
    "freeze": "export",
    "pip": "export",
    "pip install": "add NAME",
    "pip sync": "sync",
    "pip list": "tree",
    "pip tree": "tree",
    "pip freeze": "export",
    "pip compile": "lock -r FILE",
    "pip uninstall": "remove NAME",
    "pip check": "check",
    "pip download": "bundle",
    "pip show": "why NAME",
    "show": "why NAME",
    "info": "why NAME",
    "venv": "sync",
    "shell": "run bash",
    "exec": "run COMMAND",
    "x": "run --with PACKAGE COMMAND",
    "tool": "run --with PACKAGE COMMAND",
    "tool run": "run --with PACKAGE COMMAND",
    "python": "run python",
    "new": "init",
    "generate-shell-completion": "completion",
    "completions": "completion",
    "version": "--version",
    "uninstall": "remove",
    "clean": "cache clear",
    "audit": "outdated",
    "compile": "lock",
    "wheel": "build",
}
EXIT_INTERRUPTED = 130

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; without *arguments*, run the program and exit."""
    _open_streams()
    if arguments is not None:
        return _run(arguments)
    # The cyclic garbage collector would traverse everything that is imported and find nothing to free.
    gc.disable()
    code = _flush("stderr", _flush("stdout", _run(sys.argv[1:])))
    # Finalization would flush again, print "Exception ignored" if that fails, and free every object, which takes 10 ms.
    os._exit(code)


def _open_streams() -> None:
    """Replace streams that the caller closed (`>&-`), which Python represents as None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  open until the end
    # An encoding such as latin-1 lacks characters that messages contain. File names with other bytes are written as they are.
    is_complete = sys.stdout.errors == "surrogateescape" and sys.stdout.encoding.lower() in {"utf-8", "utf8"}
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and not is_complete:
        reconfigure(errors="backslashreplace")


def _flush(name: str, code: int) -> int:
    """The exit code after a stream is flushed: *code*, or an error if that is a success and output was lost."""
    try:
        getattr(sys, name).flush()
    except BrokenPipeError:
        return code or EXIT_CANNOT
    except OSError as error:
        if name == "stdout":
            _print_error(MinglibcError(f"can't write to stdout: {error.strerror}"))
        return code or EXIT_CANNOT
    return code


def _run(arguments: list[str]) -> int:
    """Run a command; errors are printed and become exit codes."""
    try:
        return _run_with_sound_cache(arguments)
    except SystemExit as leaving:  # raised by argparse, and on SIGTERM
        return leaving.code if isinstance(leaving.code, int) else EXIT_CANNOT
    except MinglibcError as error:
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        # A search notes the last conflict.
        _print_error(" ".join(["interrupted", *getattr(interrupt, "__notes__", ())[:1]]))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_CANNOT
    except (OSError, OverflowError, ImportError) as error:
        _print_error(_system_error(error))
        return EXIT_CANNOT


def _system_error(error: OSError | OverflowError | ImportError) -> MinglibcError:
    """What no command anticipates: a full disk, a folder without read permission, a wrong clock, or an incomplete Python."""
    if isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename else ""
        return MinglibcError(f"{path}{error.strerror or error}")
    if isinstance(error, ImportError):
        return _incomplete_python(error)
    if "timestamp" not in str(error):
        raise error
    # Python has 64 bits for the nanoseconds since 1970. Its own modules read the clock, too.
    return MinglibcError("the system's clock is after the year 2262, which Python can't represent")


def _incomplete_python(error: ImportError) -> MinglibcError:
    """A part of the standard library that this Python was built without, such as ssl; other errors are raised again."""
    name = error.name or ""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        raise error
    return MinglibcError(
        f"the Python of minglibc, {sys.executable}, has no module {name.lstrip('_')}",
        hint="install minglibc with another Python, or build this one with the libraries that the module needs",
    )


def _run_with_sound_cache(arguments: list[str]) -> int:
    """Run a command, again if a cache entry turned out to be damaged: nothing was written until then."""
    while True:
        try:
            return _dispatch(arguments)
        except CacheDamaged as damage:
            from minglibc.cli import output  # noqa: PLC0415  an unchanged lock prints one plain line

            output.print_message(f"warning: {damage.message}; starting again without it")


def _dispatch(arguments: list[str]) -> int:
    """Run the command that *arguments* name; most of what it needs is imported only then."""
    if arguments[:1] == ["lock"]:
        code = _lock_without_argparse(arguments[1:])
        if code is not None:
            return code
    if not arguments:
        _print_help()
        return EXIT_USAGE
    if arguments[0] in {"-V", "--version"}:
        return _print_version(arguments[1:])
    if arguments[0] in {"-h", "--help", "help"}:
        return _help(arguments[1:])
    if arguments[0].startswith("-"):
        from minglibc.cli.args import common_options_before  # noqa: PLC0415  rarely used, and imports argparse

        count = common_options_before(arguments)
        command = arguments[count:]
        return _dispatch([command[0], *arguments[:count], *command[1:]] if command else [])
    return _run_command(arguments[0], arguments[1:])


def _lock_without_argparse(arguments: list[str]) -> int | None:
    """Run `lock` if its options are those of most commands; else None."""
    from minglibc.cli import plain_options  # noqa: PLC0415  for this command alone

    options = plain_options.parse(arguments)
    if options is not None:
        from minglibc.cli import fresh  # noqa: PLC0415  as above

        if fresh.is_up_to_date(options):
            if not options.quiet:
                print("pylock.toml is up to date", file=sys.stderr)
            return 0
    from minglibc.cli import early_start  # noqa: PLC0415  for a lock that is not up to date

    early_start.start(arguments)
    if options is None:
        return None
    from minglibc.cli import lock_output  # noqa: PLC0415  50 ms, and most locks are up to date

    return _run_safely(lambda: lock_output.run(options))


def _help(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        return _run_command(arguments[0], ["--help"])
    if arguments:
        raise _unknown_command(arguments)
    _print_help()
    return 0


def _print_version(arguments: list[str]) -> int:
    from minglibc import __version__  # noqa: PLC0415

    if arguments == ["--json"]:
        print(f'{{"version": "{__version__}"}}')
        return 0
    if arguments:
        raise SettingsError(f"--version can't be combined with {' '.join(arguments)}", hint="only --json can follow it")
    print(f"minglibc {__version__}")
    return 0


def _run_command(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        raise _unknown_command([name, *arguments])
    # Not needed by an unchanged lock.
    from minglibc.cli import output  # noqa: PLC0415
    from minglibc.cli.args import ArgumentParser, add_common  # noqa: PLC0415

    # As importlib.import_module, without the import of importlib.
    command = __import__(f"minglibc.cli.{name}", fromlist=["run"])
    parser = ArgumentParser(f"minglibc {name}", f"{COMMANDS[name]}.")
    command.configure(parser)
    add_common(parser)
    options = parser.parse_args(arguments)
    output.set_color(options.color)
    return _run_safely(lambda: command.run(options))


def _run_safely(command: "Callable[[], int]") -> int:
    """Run *command*; signals raise exceptions, and temporary folders are removed."""
    from minglibc.cache import location  # noqa: PLC0415  not needed by an unchanged lock
    from minglibc.cli import signals  # noqa: PLC0415  as above

    # Imported modules stay, so later collections need not traverse them.
    gc.freeze()
    gc.enable()
    try:
        with signals.unwinding():
            return command()
    finally:
        location.remove_temporary()


def _unknown_command(arguments: list[str]) -> SettingsError:
    """The error for the first of *arguments*, which may be followed by a command of that command."""
    from difflib import get_close_matches  # noqa: PLC0415  imports re and collections, for an error

    name = arguments[0]
    other = _OTHER_NAMES.get(" ".join(arguments[:2])) or _OTHER_NAMES.get(name)
    if other:
        return SettingsError(f"unknown command {name!r}", hint=f"use `minglibc {other}`")
    close = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean `minglibc {close[0]}`?" if close else "`minglibc --help` lists the commands"
    return SettingsError(f"unknown command {name!r}", hint=hint)


def _print_help() -> None:
    print("usage: minglibc [OPTIONS] COMMAND [OPTIONS]\n")
    print(f"{DESCRIPTION}\n")
    for name, purpose in COMMANDS.items():
        print(f"  {name:10}{purpose}")
    print("\nSee `minglibc help COMMAND` for a command's options. MINGLIBC_OPTION sets --option.")


def _print_error(error: MinglibcError | str) -> None:
    """Print an error, unless stderr can't be written: then the exit code has to be enough."""
    from minglibc.cli import output  # noqa: PLC0415  an unchanged lock prints one plain line

    message, hint = (error, "") if isinstance(error, str) else (f"error: {error.message}", error.hint)
    try:  # noqa: SIM105  contextlib is not imported for an unchanged lock
        output.print_message(f"{message}\nhint: {hint}" if hint else message)
    except OSError:
        pass
