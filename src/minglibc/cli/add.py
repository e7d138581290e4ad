"""`minglibc add`: add requirements to pyproject.toml, update the lock and sync the environment."""

import gc
import os
from argparse import Namespace
from collections.abc import Callable

from minglibc.app.edit import EditOptions, add_requirements
from minglibc.app.lock import LockResult
from minglibc.app.reporter import Reporter
from minglibc.app.sync import sync_environment
from minglibc.cli.args import ArgumentParser, add_index, add_selection, add_sources, common_options, sync_options
from minglibc.cli.lock_output import print_result
from minglibc.cli.output import Terminal
from minglibc.cli.sync import print_outcome
from minglibc.config.edit import DependencyList


def configure(parser: ArgumentParser) -> None:
    """The arguments of `add`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help='a requirement, such as foo, "foo>=1.2" or "foo[bar]"')
    add_list_options(parser, "to")
    add_sources(parser)


def add_list_options(parser: ArgumentParser, preposition: str) -> None:
    """The arguments that `add` and `remove` have in common."""
    # No environment variable selects where pyproject.toml is edited: MINGLIBC_GROUP is for `sync`.
    options = parser.add_mutually_exclusive_group()
    options.add_argument("--group", metavar="NAME", help=f"{preposition} this dependency group")
    options.add_argument("--extra", metavar="NAME", help=f"{preposition} this extra of the project")
    options.add_argument("--dev", dest="group", action="store_const", const="dev", help="the same as --group dev")
    parser.add_argument("--no-sync", action="store_true", help="don't sync the environment")
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Add the requirements; one without a specifier gets the locked version as its lower bound."""

    def add(options: EditOptions, reporter: Reporter) -> LockResult:
        names = arguments.allow_sdist_package or ()
        indexes = [index for index in options.common.indexes if index not in _indexes_of_machine()]
        return add_requirements(
            options._replace(
                allow_sdist=arguments.allow_sdist, allow_sdist_packages=names, writes_indexes=bool(indexes)
            ),
            reporter,
        )

    return edit_and_sync(arguments, add)


def _indexes_of_machine() -> list[str]:
    """The indexes in the environment, which are for all projects of this machine."""
    return os.environ.get("MINGLIBC_INDEX", "").replace(",", " ").split()


def edit_and_sync(arguments: Namespace, edit: Callable[[EditOptions, Reporter], LockResult]) -> int:
    """Edit pyproject.toml and its lock, print the result, and sync unless --no-sync."""
    gc.disable()  # as `lock`
    dependency_list = DependencyList(extra=arguments.extra or "", group=arguments.group or "")
    with Terminal.of(arguments) as terminal:
        result = edit(EditOptions(arguments.names, common_options(arguments), dependency_list), terminal)
    print_result(result, terminal)
    return 0 if arguments.no_sync else _sync(arguments, dependency_list)


def _sync(arguments: Namespace, dependency_list: DependencyList) -> int:
    """Sync as `sync` would without options, but with the extra or group that was changed."""
    # The parser reads the environment variables of these options.
    parser = ArgumentParser()
    add_selection(parser)
    options = sync_options(parser.parse_args(dependency_list.option.split()))
    with Terminal.of(arguments) as terminal:
        outcome = sync_environment(common_options(arguments), options, terminal)
    print_outcome(outcome, terminal)
    return 0
