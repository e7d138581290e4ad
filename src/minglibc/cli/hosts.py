"""The arguments that name machines, and the output of their measurement."""

from argparse import Namespace

from minglibc.app.fleet import DEFAULT_TIMEOUT, FleetOptions, Machines, measure_machines
from minglibc.cli.args import ArgumentParser
from minglibc.cli.output import print_message
from minglibc.errors import SettingsError


def add_hosts(parser: ArgumentParser) -> None:
    """The arguments that name machines."""
    # No environment variable makes a command connect to other machines.
    parser.add_argument(
        "--host", variable=False, action="append", metavar="HOST", help="measure this machine over ssh; can be repeated"
    )
    parser.add_argument(
        "--hosts",
        variable=False,
        action="append",
        metavar="FILE",
        help="measure the machines in this file: one a line, or a static Ansible inventory",
    )
    parser.add_argument(
        "--from-facts",
        variable=False,
        action="append",
        metavar="FILE",
        help="read machines from a fleet.json, or from Ansible's facts as JSON",
    )
    parser.add_argument(
        "--host-timeout",
        variable=False,
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"the time limit for each host (default: {DEFAULT_TIMEOUT:g})",
    )


def fleet_options(arguments: Namespace) -> FleetOptions:
    """The machines that *arguments* name."""
    if not 1 <= arguments.host_timeout <= 3600:
        raise SettingsError(f"--host-timeout {arguments.host_timeout:g} is not between 1 and 3600 seconds")
    return FleetOptions(
        tuple(arguments.host or ()),
        tuple(arguments.hosts or ()),
        tuple(arguments.from_facts or ()),
        arguments.host_timeout,
        tuple(getattr(arguments, "images", None) or ()),
    )


def measure(options: FleetOptions) -> Machines:
    """The machines; hosts that can't be measured are listed."""
    machines = measure_machines(options)
    for measurement in machines.failed:
        print_message(f"warning: {measurement.problem}")
    return machines
