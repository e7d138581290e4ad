"""`minglibc tree`: what requires what, from the lock alone."""

import json
from typing import TYPE_CHECKING

from minglibc.cli.options import Namespace, Parser, talk
from minglibc.cli.selection import add_lock, asked_lock
from minglibc.errors import SettingsError
from minglibc.lock.reader import Lock
from minglibc.lock.selection import find_targets
from minglibc.lock.tree import CYCLE, SHOWN, Graph, Node, drawn, graph, nested, rows
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    from packaging.pylock import Package


def configure(parser: Parser) -> None:
    """The arguments of `tree`."""
    add = parser.add_argument
    add("--invert", action="append", metavar="NAME", help="show what requires NAME; repeat for more")
    add("--depth", type=_depth, metavar="NUMBER", help="go no deeper than this")
    add_lock(parser)
    add("--target", metavar="NAME", help="only what this target installs, such as cp39-x86_64-glibc2.27")
    add("--json", action="store_true", help="print JSON")


def _depth(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        from argparse import ArgumentTypeError  # noqa: PLC0415  only argparse asks

        raise ArgumentTypeError(f"{text!r} is not a number of levels")
    return int(text)


def run(arguments: Namespace) -> int:
    """Print the lock's trees, or for --invert those that lead to one package."""
    found = graph(_packages(arguments))
    roots = found.roots()
    if arguments.invert:
        found = found.inverted()
        roots = [node for name in arguments.invert for node in _named(found, name)]
    lines = list(rows(found, roots, depth=arguments.depth))
    if arguments.json:
        print(json.dumps(nested(lines, "required-by" if arguments.invert else "requires"), indent=2))
        return 0
    for line in drawn(lines):
        print(line)
    marks = {row.mark for row in lines}
    if SHOWN in marks:
        talk(arguments, f"({SHOWN}) what is below stands above already")
    if CYCLE in marks:
        talk(arguments, f"({CYCLE}) it leads back to itself")
    return 0


def _packages(arguments: Namespace) -> "list[Package]":
    lock = asked_lock(arguments).lock
    if arguments.target:
        return _of_target(lock, arguments.target)
    return list(lock.pylock.packages)


def _of_target(lock: Lock, name: str) -> "list[Package]":
    target = find_targets(name, lock.targets, lock.names)[0]
    everything = lock.select(target, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
    return [package for package, _ in everything]


def _named(found: Graph, name: str) -> list[Node]:
    nodes = [node for node in found.edges if node.name == normalize_name(name)]
    if not nodes:
        raise SettingsError(f"{name} is not locked", hint="`minglibc tree` shows what is")
    return nodes
