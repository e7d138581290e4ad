"""`minglibc tags`: list the wheel tags that the cap allows, best first."""

from argparse import Namespace

from minglibc.app.tags import tags
from minglibc.cli.args import ArgumentParser, add_targets, common_options, target_overrides
from minglibc.cli.output import print_json


def configure(parser: ArgumentParser) -> None:
    """The arguments of `tags`."""
    add_targets(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> int:
    """Print the tags of every target, or of the one that the options describe."""
    tags_by_target = tags(common_options(arguments), target_overrides(arguments))
    if arguments.json:
        print_json([{**target.table, "tags": list(names)} for target, names in tags_by_target])
        return 0
    for target, names in tags_by_target:
        if len(tags_by_target) > 1:
            print(f"# {target}")
        print(*names, sep="\n")
    return 0
