"""`minglibc lock`: pyproject.toml → pylock.toml."""

from argparse import Namespace

from minglibc.app.lock import LockOptions
from minglibc.cli.args import (
    ArgumentParser,
    add_index,
    add_jobs,
    add_sources,
    add_targets,
    add_toolchain,
    common_options,
    target_overrides,
)
from minglibc.cli.lock_output import check, lock
from minglibc.cli.output import Terminal
from minglibc.config.lock_source import POLICIES
from minglibc.config.settings import Overrides


def configure(parser: ArgumentParser) -> None:
    """The arguments of `lock`."""
    # What is checked differs from `sync --check`, so no variable requests it.
    parser.add_argument(
        "--check",
        variable=False,
        action="store_true",
        help="exit with 1 if the lock is stale; uses no network and writes nothing",
    )
    parser.add_argument("-U", "--upgrade", action="store_true", help="ignore locked versions and select the newest")
    parser.add_argument(
        "-P",
        "--upgrade-package",
        action="append",
        metavar="NAME",
        help="select the newest release of NAME; can be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON to stdout")
    _add_source(parser)
    add_sources(parser)
    add_jobs(parser)
    add_targets(parser)
    add_toolchain(parser)
    add_index(parser)


# What parts of a source lock are locked.
_SELECTIONS = {
    "--extra": "lock only this extra, not all",
    "--no-extra": "do not lock this extra",
    "--group": "lock only this dependency group, not all",
    "--no-group": "do not lock this dependency group",
}


def _add_source(parser: ArgumentParser) -> None:
    # No environment variable selects what is locked.
    parser.add_argument(
        "-r",
        "--requirements",
        variable=False,
        action="append",
        metavar="FILE",
        help="lock a requirements file instead of the project; can be repeated",
    )
    parser.add_argument("--script", variable=False, metavar="FILE", help="lock a script with inline metadata (PEP 723)")
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="FILE",
        help="with -r or --from: the lock to write, pylock.toml or pylock.NAME.toml",
    )
    parser.add_argument(
        "--from",
        dest="source_lock",
        variable=False,
        metavar="FILE",
        help="lock the versions of another tool's lock: uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml, or a requirements file",
    )
    parser.add_argument(
        "--version-policy",
        variable=False,
        choices=POLICIES,
        help="what to do with versions that the cap excludes: fail (same), select the closest (nearest, the default) or the newest",
    )
    for option, help_text in _SELECTIONS.items():
        parser.add_argument(
            option,
            variable=False,
            action="append",
            metavar="NAME",
            help=f"with --from: {help_text}; can be repeated",
        )
    parser.add_argument(
        "--accept-new-hashes",
        variable=False,
        action="store_true",
        help="accept files of a release whose hashes the source lock, or the file of -r, does not list",
    )


def run(arguments: Namespace) -> int:
    """Update the lock, or with --check report whether it is up to date."""
    terminal = Terminal.of(arguments)
    if arguments.check:
        return check(lock_options(arguments), terminal)
    return lock(lock_options(arguments), terminal, json=arguments.json)


def _overrides(arguments: Namespace) -> Overrides:
    return target_overrides(arguments)._replace(
        extra=tuple(arguments.extra or ()),
        no_extra=tuple(arguments.no_extra or ()),
        group=tuple(arguments.group or ()),
        no_group=tuple(arguments.no_group or ()),
    )


def lock_options(arguments: Namespace) -> LockOptions:
    """The options of the use case."""
    return LockOptions(
        common_options(arguments),
        requirements=arguments.requirements or (),
        script=arguments.script,
        output=arguments.output,
        overrides=_overrides(arguments),
        upgrade=arguments.upgrade,
        upgrade_packages=arguments.upgrade_package or (),
        dry_run=arguments.dry_run,
        source_lock=arguments.source_lock,
        version_policy=arguments.version_policy,
        accept_new_hashes=arguments.accept_new_hashes,
        allow_sdist=arguments.allow_sdist,
        allow_sdist_packages=arguments.allow_sdist_package or (),
        jobs=arguments.jobs,
    )
