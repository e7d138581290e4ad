"""`minglibc build`: wheels of packages for all targets."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from minglibc.app.build import BuildOptions, BuildOutcome, build_wheels
from minglibc.cli.args import (
    ArgumentParser,
    add_index,
    add_jobs,
    add_targets,
    add_toolchain,
    common_options,
    target_overrides,
)
from minglibc.cli.output import Terminal, plural, print_json, print_message, print_text
from minglibc.errors import EXIT_CANNOT


def configure(parser: ArgumentParser) -> None:
    """The arguments of `build`."""
    parser.add_argument(
        "requirements",
        nargs="*",
        metavar="NAME",
        help="a package, or a requirement such as lz4==4.4.4 (default: what the lock has from source)",
    )
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="DIR",
        help="the folder for the wheels (default: built-wheels in [tool.minglibc])",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON to stdout")
    add_jobs(parser)
    add_targets(parser)
    add_toolchain(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Build the wheels and print their paths."""
    options = BuildOptions(
        common_options(arguments), arguments.requirements, arguments.output, target_overrides(arguments), arguments.jobs
    )
    with Terminal.of(arguments) as terminal:
        outcomes = build_wheels(options, terminal)
    paths = list(dict.fromkeys(outcome.wheel for outcome in outcomes if outcome.wheel))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    # A package without a source distribution has the same error for each target.
    for error in dict.fromkeys((outcome.error.message, outcome.error.hint) for outcome in failed if outcome.error):
        message, hint = error
        print_message(f"error: {message}" + (f"\nhint: {hint}" if hint else ""))
    if arguments.json:
        print_json(as_json(outcomes))
    else:
        for path in paths:
            print_text(path)
    failures = f", {len(failed)} failed" if failed else ""
    terminal.info(
        f"Built {plural(len(paths), 'wheel')} for {plural(len({o.target for o in outcomes}), 'target')}{failures}"
    )
    # As from other commands: an index that is unavailable is worth a retry, if nothing else failed.
    codes = {outcome.error.exit_code for outcome in failed if outcome.error}
    return max(codes, default=0) if len(codes) < 2 else EXIT_CANNOT


def as_json(outcomes: Sequence[BuildOutcome]) -> list[dict[str, Any]]:
    """The outcomes in the form that docs/reference describes."""
    return [
        {
            "release": outcome.release,
            "target": outcome.target.table,
            "wheel": outcome.wheel or None,
            "seconds": round(outcome.seconds, 3),
            "error": outcome.error.message if outcome.error is not None else None,
        }
        for outcome in outcomes
    ]
