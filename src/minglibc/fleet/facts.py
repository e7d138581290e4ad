"""Machines from files: fleet.json, or Ansible's facts as JSON, from `ansible -m setup --tree DIR` or its fact cache."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from minglibc.errors import SettingsError, TargetError
from minglibc.fleet.machine import Machine, check_name
from minglibc.fleet.mistakes import invalid_file, quoted
from minglibc.model.distributions import find_distribution
from minglibc.model.targets import GlibcVersion, PythonVersion

VERSION = 1


def dump_fleet(machines: Sequence[Machine]) -> str:
    """The text of fleet.json."""
    tables = [machine.table for machine in machines]
    return json.dumps({"version": VERSION, "machines": tables}, indent=2, ensure_ascii=False) + "\n"


def read_facts(text: str, name: str) -> list[Machine]:
    """The machines in the *text* of the file *name*; raises one SettingsError that lists every mistake."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{name} is neither a fleet.json nor Ansible's facts")
    if "machines" in document:
        if document.get("version") != VERSION or not isinstance(document["machines"], list):
            version = quoted(str(document.get("version")))
            raise SettingsError(f"{name}: its version is {version}; this minglibc reads version {VERSION}")
        tables = list(_named(document["machines"]))
        read: Callable[[dict[str, Any]], Machine] = Machine.of_table
    else:
        tables = list(_hosts_of_facts(document))
        read = _machine_of_facts
    machines, mistakes = [], []
    for label, table in tables:
        try:
            machines.append(read(table))
        except (KeyError, TypeError, ValueError, AttributeError, TargetError) as error:
            reason = error.message if isinstance(error, TargetError) else f"a value is missing or invalid ({error})"
            mistakes.append(f"{label}: {reason}")
    if mistakes:
        raise invalid_file(name, mistakes)
    if not machines:
        raise SettingsError(f"{name} has no machine")
    return machines


def _named(tables: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for number, table in enumerate(tables, start=1):
        yield (str(table.get("name", number)) if isinstance(table, dict) else str(number)), table


def _hosts_of_facts(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The facts of one host, or of several by their names; the prefix ``ansible_`` is optional, as in ansible_facts."""
    if "ansible_facts" in document or "ansible_architecture" in document or "architecture" in document:
        document = {"": document}
    for name, value in document.items():
        facts = value.get("ansible_facts", value) if isinstance(value, dict) else {}
        plain = (
            {str(key).removeprefix("ansible_"): item for key, item in facts.items()} if isinstance(facts, dict) else {}
        )
        label = name or str(plain.get("nodename", "the host"))
        yield label, {**plain, "name": label}


def _machine_of_facts(facts: Mapping[str, Any]) -> Machine:
    check_name(facts["name"])
    distribution = f"{facts['distribution']} {facts['distribution_version']}"
    release = find_distribution(distribution) or find_distribution(
        f"{facts['distribution']} {facts['distribution_major_version']}"
    )
    if release is None:
        raise ValueError(f"the glibc of {quoted(distribution)} is unknown")
    pythons = []
    with suppress(TargetError, KeyError):
        pythons.append(PythonVersion.parse(str(facts["python_version"])))
    return Machine(
        facts["name"],
        str(facts["architecture"]),
        GlibcVersion.parse(release.glibc),
        tuple(pythons),
        release.name,
        release.glibcxx,
    )
