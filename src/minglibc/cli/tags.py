"""`minglibc tags`: what an interpreter on the oldest machine accepts, best first."""

import json

from minglibc.cli.options import Namespace, Parser, add_targets, folder
from minglibc.config import project_files
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides
from minglibc.model.targets import LIBCS, PythonVersion, Target, check_architecture, check_cap, compatible_tags


def configure(parser: Parser) -> None:
    """The arguments of `tags`."""
    add_targets(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> int:
    """Print the tags of every target, or of the one that the options describe."""
    found = [(target, compatible_tags(target)) for target in _targets(arguments)]
    if arguments.json:
        rows = [{**target.table, "tags": list(tags)} for target, tags in found]
        print(json.dumps(rows, indent=2))
        return 0
    for target, tags in found:
        if len(found) > 1:
            print(f"# {target}")
        print(*tags, sep="\n")
    return 0


def _targets(arguments: Namespace) -> list[Target]:
    pythons, architectures = arguments.python or [], arguments.arch or []
    caps = [LIBCS[libc].parse(text) for libc in LIBCS if (text := getattr(arguments, libc))]
    if caps and pythons:
        # Enough to say what a target is: no project is needed.
        return [
            Target(PythonVersion.parse(python), check_architecture(name), check_cap(cap, name))
            for python in pythons
            for name in architectures or ["x86_64"]
            for cap in caps
        ]
    text = project_files.read_pyproject(folder(arguments))
    overrides = Overrides(arguments.glibc, arguments.musl, tuple(pythons), tuple(architectures))
    return list(parse(text, overrides=overrides).targets)
