"""Targets as text and as JSON."""

from collections.abc import Sequence

from minglibc.model.targets import Target


def targets_as_json(targets: Sequence[Target]) -> list[dict[str, str]]:
    """Targets in the form of docs/reference/json."""
    return [target.table for target in targets]


def describe_targets(targets: Sequence[Target], of: Sequence[Target] = ()) -> str:
    """A short description of *targets*, without what all targets *of* the lock have in common."""
    one_cap = len({target.cap for target in of}) == 1
    one_architecture = len({target.architecture for target in of}) == 1
    pythons: dict[str, list[str]] = {}
    for target in targets:
        machine = "" if one_architecture else f" on {target.architecture}"
        machine += "" if one_cap else f" with {target.cap.named}"
        pythons.setdefault(machine, []).append(str(target.python))
    return "; ".join(f"CPython {', '.join(versions)}{machine}" for machine, versions in pythons.items())
