"""`minglibc init`: add [tool.minglibc] to pyproject.toml."""

import sys
from argparse import Namespace
from itertools import zip_longest
from textwrap import wrap

from minglibc.app.fleet import FleetOptions, Machines
from minglibc.app.init import InitOptions, init
from minglibc.cli.args import ArgumentParser
from minglibc.cli.hosts import add_hosts, fleet_options, measure
from minglibc.cli.output import plural, print_message, print_text, terminal_width
from minglibc.config.other_tools import Imported
from minglibc.errors import SettingsError, TargetError
from minglibc.fleet.targets import Fleet
from minglibc.model.distributions import distributions, with_distribution
from minglibc.model.targets import GlibcVersion

_HOW_TO_FIND = (
    "To find the glibc of a machine, run `ldd --version` on it. `minglibc caps --distributions` lists the glibc of "
    "distributions."
)


def configure(parser: ArgumentParser) -> None:
    """The arguments of `init`."""
    parser.epilog = f"The cap is the glibc of the oldest machine that the project runs on. {_HOW_TO_FIND}"
    add = parser.add_argument
    add(
        "--glibc",
        metavar="VERSION",
        help="the glibc of the oldest machine, or its distribution such as rhel-8",
    )
    add("--musl", metavar="VERSION", help="the musl of the oldest machine that has it, such as Alpine's")
    add(
        "--python",
        metavar="VERSION",
        action="append",
        help="a CPython version that the project supports; can be repeated (default: the one that runs minglibc)",
    )
    add(
        "--arch",
        metavar="NAME",
        action="append",
        help="an architecture that the project supports; can be repeated (default: this machine's)",
    )
    add_hosts(parser)
    add(
        "--image",
        dest="images",
        variable=False,
        action="append",
        metavar="PATH",
        help="measure this container image: an archive of `docker save`, or an OCI image layout; can be repeated",
    )


def run(arguments: Namespace) -> int:
    """Add the table, and print what it contains and which settings of other tools it includes."""
    fleet = fleet_options(arguments)
    machines = _measure(arguments, fleet) if fleet.are_given else None
    outcome = init(
        InitOptions(
            arguments.project,
            arguments.glibc,
            arguments.musl,
            tuple(arguments.python or ()),
            tuple(arguments.arch or ()),
            _choose_glibc,
            machines.machines if machines else (),
        )
    )
    if machines and outcome.fleet:
        _print_fleet(outcome.fleet)
    what = f"Added to {outcome.path}" if outcome.is_written else f"{outcome.path} has a table already; change it to"
    print_text(f"{what}:\n\n{outcome.added.rstrip()}")
    if outcome.imported:
        count = plural(len(outcome.imported.requirements), "requirement")
        print_message(f"Imported {count} from {outcome.imported.name}")
    for result in outcome.settings:
        if isinstance(result, Imported):
            print_message(f"Imported {result.source} as {result.key}")
        else:
            print_message(f"Skipped {result.source}: {result.reason}")
    if outcome.problem:
        print_message(f"before `minglibc lock` can run: {outcome.problem}")
    return 0


def _measure(arguments: Namespace, fleet: FleetOptions) -> Machines:
    given = [f"--{name}" for name in ("glibc", "musl", "python", "arch") if getattr(arguments, name)]
    if given:
        raise SettingsError(f"{given[0]} can't be combined with machines, from which it is taken")
    return measure(fleet)


def _print_fleet(fleet: Fleet) -> None:
    for kind in fleet.kinds:
        print_message(f"{kind.target}: {plural(len(kind.machines), 'machine')}, Python {kind.oldest_python} or newer")
    for machine, reason in fleet.unserved:
        print_message(f"warning: {machine.name} is not served: {reason}")
    for kind in fleet.kinds:
        if kind.target.libstdcxx:
            names = [machine.name for machine in kind.machines if machine.libstdcxx == kind.target.libstdcxx]
            print_message(
                f"{', '.join(names)}: libstdc++ has GLIBCXX_{kind.target.libstdcxx} and is older than {with_distribution(kind.target.cap)} "
                "suggests; libstdcxx is added, which `check` and the setting verify respect"
            )


def _choose_glibc() -> str:
    """The glibc of the oldest machine, as the user of the terminal enters it; without a terminal, an error."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            f"the glibc of the oldest machine is needed, and --glibc is not given\n{_glibc_versions()}",
            hint="run `ldd --version` on it, then `minglibc init --glibc VERSION` here; or name its distribution: --glibc rhel-8",
        )
    print_message(f"{_glibc_versions()}\n\n{_HOW_TO_FIND} For musl, use --musl instead.")
    while True:
        print("glibc of the oldest machine, or its distribution: ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            print_message("")
            raise SettingsError(
                "no glibc version was entered, and nothing was changed", hint="minglibc init --glibc VERSION"
            )
        try:
            GlibcVersion.parse(answer.strip())
        except TargetError as error:
            print_message(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
        else:
            return answer.strip()


def _glibc_versions() -> str:
    """A table of the glibc versions of distributions."""
    by_glibc: dict[str, list[str]] = {}
    for distribution in distributions().values():
        by_glibc.setdefault(distribution.glibc, []).append(str(distribution))
    lines = ["  glibc  distributions"]
    for version in sorted(by_glibc, key=GlibcVersion.parse):
        names = wrap(", ".join(by_glibc[version]), max(terminal_width() - 9, 20), break_on_hyphens=False)
        lines += [f"  {head:7}{line}" for head, line in zip_longest([version], names, fillvalue="")]
    return "\n".join(lines)
