"""`minglibc check`: check that binaries are compatible with the cap."""

import os
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from minglibc.app.check import check_locked_files
from minglibc.app.check_caps import Caps, CheckOptions, CheckResult
from minglibc.app.check_folders import check_environment, check_image, check_paths, check_root, replaced_by_sync
from minglibc.app.check_source_lock import is_own_lock, is_source_lock
from minglibc.app.sync_options import DEFAULT_ENVIRONMENT
from minglibc.audit.rules import ABOVE_CAP, Finding, Kind
from minglibc.cli import check_hosts, check_other_lock
from minglibc.cli.args import ArgumentParser, add_index, add_lock, add_targets, common_options, target_overrides
from minglibc.cli.hosts import add_hosts, fleet_options
from minglibc.cli.output import Terminal, plural, print_json, print_message, print_text
from minglibc.errors import EXIT_CANNOT, SettingsError
from minglibc.model.architectures import CPU_LEVELS

_MAX_SHOWN = 5


def configure(parser: ArgumentParser) -> None:
    """The arguments of `check`."""
    parser.add_argument(
        "path",
        nargs="*",
        help="wheels, folders of wheels or installed packages, or a lock of any tool (default: every wheel of the lock, and the project)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="with another tool's lock: download its wheels and check their ELF files"
    )
    parser.add_argument(
        "--environment", metavar="PATH", help="check the environment in this folder or of an interpreter"
    )
    parser.add_argument("--root", metavar="DIR", help="check the packages in an unpacked root file system")
    parser.add_argument(
        "--image", metavar="PATH", help="check a container image: an archive of docker save, or an OCI image layout"
    )
    add_hosts(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)
    add_index(parser)
    parser.add_argument(
        "--cpu",
        choices=CPU_LEVELS,
        help="the level of x86-64 that files may need (default: tool.minglibc.cpu, or x86-64)",
    )


def run(arguments: Namespace) -> int:
    """Print what the binaries need beyond the cap; 1 if there is anything."""
    options = check_options(arguments)
    if len(arguments.path) == 1 and is_source_lock(arguments.path[0]):
        if not is_own_lock(arguments.path[0]):
            return check_other_lock.run(arguments, options)
        options, arguments.path = options._replace(lock=arguments.path[0]), []
    _check_arguments(arguments)
    fleet = fleet_options(arguments)
    if fleet.are_given:
        return check_hosts.run(arguments, fleet, options)
    with Terminal.of(arguments) as terminal:
        result = _check(arguments, options, terminal)
    if arguments.json:
        print_json(as_json(result))
    else:
        for line in _lines(result.findings):
            print_text(line)
    _print_summary(result, arguments, terminal)
    return EXIT_CANNOT if result.findings else 0


def _check(arguments: Namespace, options: CheckOptions, terminal: Terminal) -> CheckResult:
    if arguments.environment:
        return check_environment(arguments.environment, options)
    if arguments.root:
        return check_root(arguments.root, options)
    if arguments.image:
        return check_image(arguments.image, options)
    if arguments.path:
        return check_paths(arguments.path, options)
    return check_locked_files(options, terminal)


def _check_arguments(arguments: Namespace) -> None:
    """Raise SettingsError for options that can't be combined."""
    machines = {"--host": arguments.host, "--hosts": arguments.hosts, "--from-facts": arguments.from_facts}
    values = {
        "--environment": arguments.environment,
        "--root": arguments.root,
        "--image": arguments.image,
        **machines,
        "paths": arguments.path,
    }
    subjects = [name for name, value in values.items() if value]
    if len(subjects) > 1 and not machines.keys() >= set(subjects):
        raise SettingsError(f"{subjects[0]} can't be combined with {subjects[1]}")
    if arguments.verify:
        raise SettingsError("--verify requires a lock of another tool", hint="ELF files of wheels are always checked")


def check_options(arguments: Namespace) -> CheckOptions:
    """The options of the use case."""
    return CheckOptions(common_options(arguments), arguments.lock, target_overrides(arguments), arguments.cpu)


def _print_summary(result: CheckResult, arguments: Namespace, terminal: Terminal) -> None:
    counts, findings = result.counts, plural(len(result.findings), "finding")
    skipped = f"; {counts.skipped} skipped (other platforms)" if counts.skipped else ""
    checked = f"Checked {_binaries(counts.checked)} in {result.subject}"
    terminal.info(f"{checked} against {_describe(result.caps)}{_describe_cpu(result)}: {findings}{skipped}")
    _print_read(result, terminal)
    if result.with_relr:
        # No tag and no cap distinguishes 1.2.4 from 1.2.3.
        terminal.info(f"note: musl before 1.2.4 can't load files of {', '.join(result.with_relr)} (DT_RELR)")
    if result.findings and not arguments.quiet:
        print_message(f"hint: {_hint(result, arguments, check_options(arguments))}")


def _print_read(result: CheckResult, terminal: Terminal) -> None:
    """How many files of folders were read, and what was not read and why."""
    if result.files:
        counts = [f"{plural(count, 'file')} in {folder}" for folder, count in result.files.items()]
        terminal.info(f"Read {', '.join(counts)}")
    if result.skipped:
        shown = [f"{skipped.path} ({skipped.reason})" for skipped in result.skipped[:_MAX_SHOWN]]
        more = f" and {len(result.skipped) - _MAX_SHOWN} more" if len(result.skipped) > _MAX_SHOWN else ""
        terminal.info(f"Not read: {', '.join(shown)}{more}")


def _binaries(count: int) -> str:
    """``1 binary``, ``2 binaries``."""
    return f"{count} {'binary' if count == 1 else 'binaries'}"


def _describe(caps: Caps) -> str:
    """``glibc 2.17, 2.28 and musl 1.2``."""
    by_libc = {libc: sorted({cap for (other, _), cap in caps.items() if other == libc}) for libc, _ in sorted(caps)}
    return " and ".join(f"{libc} {', '.join(map(str, versions))}" for libc, versions in by_libc.items())


def _describe_cpu(result: CheckResult) -> str:
    """The level of x86-64, where it is not the baseline."""
    return "" if result.cpu == CPU_LEVELS[0] else f" and {result.cpu}"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, and one for all files of a distribution that need the same missing library."""
    missing = Counter((one.distribution, one.library) for one in findings if one.kind is Kind.LIBRARY)
    for finding in findings:
        count = missing[finding.distribution, finding.library] if finding.kind is Kind.LIBRARY else 1
        if count:
            yield f"{_line(finding)} ({plural(count - 1, 'more file')})" if count > 1 else _line(finding)
        if finding.kind is Kind.LIBRARY:
            missing[finding.distribution, finding.library] = 0


def _line(finding: Finding) -> str:
    cap = f"; glibc {finding.lowest_cap} has it" if finding.lowest_cap else ""
    text = str(finding) if finding.distribution else str(finding).removeprefix(": ")
    return f"{text}{cap}"


def _hint(result: CheckResult, arguments: Namespace, options: CheckOptions) -> str:
    kinds = {finding.kind for finding in result.findings}
    if arguments.environment and not (options.overrides.glibc or options.overrides.musl):
        hint = _hint_for_environment(result, arguments.environment, options)
        if hint:
            return hint
    if kinds == {Kind.UNREADABLE}:
        return "make these files readable, or install their packages again"
    if kinds == {Kind.LIBRARY}:
        return "install these libraries on every machine, or require other releases"
    levels = [finding.version for finding in result.findings if finding.kind is Kind.CPU]
    if len(levels) == len(result.findings) and set(levels) <= set(CPU_LEVELS):
        return f'set tool.minglibc.cpu = "{max(levels)}" if all machines have it, or require other releases'
    caps = [finding.lowest_cap for finding in result.findings]
    if all(caps):
        return f"raise the cap to {max(cap for cap in caps if cap)}, or require other releases"
    return "require other releases of these packages; raising the cap is not enough"


def _hint_for_environment(result: CheckResult, path: str, options: CheckOptions) -> str:
    """What `sync` would change, or that it changes nothing; empty where this depends on what the findings are."""
    replaced = replaced_by_sync(path, result, options)
    owners = {finding.distribution for finding in result.findings}
    if replaced:
        default = os.path.join(os.path.dirname(os.path.abspath(path)), DEFAULT_ENVIRONMENT) == os.path.abspath(path)
        command = "minglibc sync" if default else f"minglibc sync --python {shlex.quote(path)}"
        hint = f"`{command}` replaces or removes {', '.join(sorted(replaced))}"
        return hint if replaced == owners else f"{hint}; it does not change the others"
    if owners == {""}:
        return "delete or build again these files, which belong to no package; `minglibc sync` does not change them"
    if {finding.kind for finding in result.findings} <= ABOVE_CAP:
        return (
            "`minglibc sync` replaces only packages that differ from a lock; set verify = true, and lock and sync again"
        )
    return ""


def as_json(result: CheckResult) -> dict[str, Any]:
    """The result in the form of docs/reference/json/check.schema.json."""
    return {
        "checked": result.subject,
        "caps": _of_libc("glibc", result.caps),
        "musl-caps": _of_libc("musl", result.caps),
        "cpu": result.cpu,
        "binaries": {
            "held": result.counts.checked,
            "static": result.counts.static,
            "foreign": result.counts.skipped,
            "unreadable": result.counts.unreadable,
        },
        "files": dict(result.files),
        "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in result.skipped],
        "findings": [finding_as_json(finding) for finding in result.findings],
    }


def _of_libc(libc: str, caps: Caps) -> dict[str, str]:
    return {architecture: str(cap) for (other, architecture), cap in caps.items() if other == libc}


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """One finding; what does not apply is an empty string or null."""
    return {
        "distribution": finding.distribution,
        "path": finding.path,
        "kind": _KIND_NAMES[finding.kind],
        "library": finding.library,
        "version": finding.version,
        "symbols": list(finding.symbols),
        "lowest-cap": str(finding.lowest_cap) if finding.lowest_cap else None,
        "detail": finding.detail,
    }


_KIND_NAMES = {kind: kind.value.replace(" ", "-") for kind in Kind}
