"""Lists of hosts: one a line, a static Ansible inventory in its INI format, or the output of `ansible-inventory --list`."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from minglibc.errors import SettingsError

# user@host, an address, or ssh://user@host:port; a name that begins with "-" would be an option of ssh.
_ADDRESS = re.compile(r"(?:ssh://)?[A-Za-z0-9_](?:[A-Za-z0-9_.@:%+-]|\[[0-9A-Fa-f:.%]+\]){0,254}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}", re.ASCII)
_RANGE = re.compile(r"\[([0-9]{1,6}|[A-Za-z]):([0-9]{1,6}|[A-Za-z])(?::([1-9][0-9]{0,5}))?\]", re.ASCII)
_SECTION = re.compile(r"\[([^\]:]+)(?::(vars|children))?\]")
_MOST_HOSTS = 10_000
_CONNECTIONS = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh")


class Host(NamedTuple):
    """A machine that is measured over ssh."""

    name: str
    address: str
    """The destination, as the argument of `ssh`."""
    port: int | None = None


def parse_address(text: str) -> Host:
    """The host that *text* names; raises SettingsError."""
    if not _ADDRESS.fullmatch(text):
        raise SettingsError(f"{text!r} is not a host; write user@host, or ssh://user@host:port")
    return Host(text, text)


def parse_inventory(text: str, name: str) -> list[Host]:
    """The hosts in the *text* of the file *name*; raises one SettingsError that lists every mistake."""
    if name.endswith((".yml", ".yaml")):
        raise SettingsError(
            f"{name}: inventories in YAML are not read", hint=f"ansible-inventory -i {name} --list > hosts.json"
        )
    reader = _Inventory()
    if text.lstrip().startswith("{"):
        reader.read_json(text)
    else:
        reader.read_lines(text)
    hosts = list(reader.hosts())
    if reader.mistakes:
        raise SettingsError(f"{name}:\n" + "\n".join(f"  {mistake}" for mistake in reader.mistakes))
    if not hosts:
        raise SettingsError(f"{name} names no host")
    return hosts


class _Inventory:
    """The variables of hosts and groups; ssh's arguments are ignored, because they can run commands on this machine."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._variables: dict[str, dict[str, str]] = {}
        self._groups: dict[str, list[str]] = {}
        self._group_variables: dict[str, dict[str, str]] = {}
        self._parents: dict[str, list[str]] = {}

    def read_json(self, text: str) -> None:
        """Read the output of `ansible-inventory --list`, which has the variables of groups at each host."""
        try:
            document: Any = json.loads(text)
            variables = document["_meta"]["hostvars"]
            groups = [group for key, group in document.items() if key != "_meta"]
            names = {name for group in groups for name in group.get("hosts", ())} | {*variables}
            for name in sorted(names):
                self._variables[str(name)] = {key: str(value) for key, value in variables.get(name, {}).items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.mistakes.append("is not the output of `ansible-inventory --list`")

    def read_lines(self, text: str) -> None:
        """Read a list of hosts, or an inventory in the INI format."""
        group, kind = "ungrouped", None
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                words = shlex.split(line, comments=True)
                if not words or line.lstrip().startswith(";"):
                    continue
                if section := _SECTION.fullmatch(line.partition("#")[0].strip()):
                    group, kind = section[1].strip(), section[2]
                elif kind == "vars":
                    self._group_variables.setdefault(group, {}).update([_assignment(line.partition(" #")[0])])
                elif kind == "children":
                    self._parents.setdefault(words[0], []).append(group)
                else:
                    self._add_hosts(words, group)
            except ValueError as error:
                self.mistakes.append(f"line {number}: {error}")

    def _add_hosts(self, words: list[str], group: str) -> None:
        variables = dict(map(_assignment, words[1:]))
        for name in _expanded(words[0]):
            self._variables.setdefault(name, {}).update(variables)
            self._groups.setdefault(name, []).append(group)
            if len(self._variables) > _MOST_HOSTS:
                raise ValueError(f"there are more than {_MOST_HOSTS:,} hosts")

    def hosts(self) -> Iterator[Host]:
        """The hosts in their order."""
        for name, own in self._variables.items():
            variables = {**self._inherited(["all", *self._groups.get(name, ())], set()), **own}
            try:
                yield _host(name, variables)
            except (SettingsError, ValueError) as error:
                self.mistakes.append(str(error))

    def _inherited(self, groups: Iterable[str], seen: set[str]) -> dict[str, str]:
        """The variables of *groups*; those of a group replace those of its parents."""
        variables: dict[str, str] = {}
        for group in groups:
            if group not in seen:
                seen.add(group)
                variables |= self._inherited(self._parents.get(group, ()), seen)
                variables |= self._group_variables.get(group, {})
        return variables


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value.strip().strip("\"'")


def _expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern such as ``web[01:10]`` stands for."""
    match = _RANGE.search(pattern)
    if not match:
        yield pattern
        return
    first, last, step = match[1], match[2], int(match[3] or 1)
    if first.isdigit() != last.isdigit():
        raise ValueError(f"{match[0]} is not a range")
    if first.isdigit():
        width = len(first) if first.startswith("0") else 0
        names = [str(value).rjust(width, "0") for value in range(int(first), int(last) + 1, step)]
    else:
        names = [chr(value) for value in range(ord(first), ord(last) + 1, step)]
    if not names or len(names) > _MOST_HOSTS:
        raise ValueError(f"{match[0]} stands for {len(names):,} hosts")
    for name in names:
        yield from _expanded(pattern[: match.start()] + name + pattern[match.end() :])


def _host(name: str, variables: Mapping[str, str]) -> Host:
    connection = variables.get("ansible_connection", "ssh")
    if connection not in _CONNECTIONS:
        raise ValueError(f"{name}: ansible_connection is {connection}; only ssh is supported")
    address = parse_address(variables.get("ansible_host") or variables.get("ansible_ssh_host") or name).address
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user") or ""
    if user and not _USER.fullmatch(user):
        raise ValueError(f"{name}: {user!r} is not a user name")
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{name}: {port!r} is not a port")
    return Host(name, f"{user}@{address}" if user and "@" not in address else address, int(port) if port else None)
