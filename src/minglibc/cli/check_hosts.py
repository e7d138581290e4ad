"""`minglibc check --hosts`: check that the lock serves each machine."""

from argparse import Namespace

from minglibc.app.check_caps import CheckOptions
from minglibc.app.fleet import FleetOptions, check_machines
from minglibc.cli.hosts import measure
from minglibc.cli.output import plural, print_json, print_message, print_text
from minglibc.errors import EXIT_CANNOT, SettingsError
from minglibc.lock.selection import target_name


def run(arguments: Namespace, fleet: FleetOptions, options: CheckOptions) -> int:
    """Print the target of each machine, or why it has none; 1 if a machine is not served or could not be measured."""
    if options.overrides.given:
        raise SettingsError(
            f"--{min(options.overrides.given)} can't be combined with machines: their own values are used"
        )
    machines = measure(fleet)
    results = check_machines(machines.machines, options.common, options.lock)
    if arguments.json:
        print_json(
            {
                "machines": [
                    {
                        **served.machine.table,
                        "target": target_name(served.target) if served.target else None,
                        "problems": list(served.problems),
                    }
                    for served in results
                ],
                "failed": [{"name": failed.host.name, "problem": failed.problem} for failed in machines.failed],
            }
        )
    else:
        for served in results:
            answer = target_name(served.target) if served.target else "; ".join(served.problems)
            print_text(f"{served.machine.name}: {answer}")
    unserved = sum(served.target is None for served in results)
    if not arguments.quiet:
        print_message(
            f"Checked {plural(len(results), 'machine')}: {unserved} not served, {len(machines.failed)} not measured"
        )
    return EXIT_CANNOT if unserved or machines.failed else 0
