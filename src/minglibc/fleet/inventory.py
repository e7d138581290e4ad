"""Lists of hosts: one a line, a static Ansible inventory in its INI format, or the output of `ansible-inventory --list`."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from minglibc.errors import SettingsError
from minglibc.fleet.machine import check_name
from minglibc.fleet.mistakes import invalid_file, quoted

# user@host, an address, or ssh://user@host:port; a name that begins with "-" would be an option of ssh.
_ADDRESS = re.compile(r"(?!.*@-)(?:ssh://)?[A-Za-z0-9_](?:[A-Za-z0-9_.@:%+-]|\[[0-9A-Fa-f:.%]+\]){0,254}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}", re.ASCII)
_RANGE = re.compile(r"\[([0-9]{1,6}|[A-Za-z]):([0-9]{1,6}|[A-Za-z])(?::([1-9][0-9]{0,5}))?\]", re.ASCII)
_SECTION = re.compile(r"\[([^\]:]+)(?::(vars|children))?\]")
_MOST_HOSTS = 10_000
# Far above those of real inventories: each line is split one character at a time, and ranges multiply.
_MOST_LINES = 100_000
_LONGEST_LINE = 10_000
_MOST_RANGES = 5
_MOST_MEMBERS = 100_000
_DEEPEST_GROUP = 50
# Only these are kept.
_VARIABLES = {
    "ansible_connection",
    *(f"ansible_{ssh}{key}" for ssh in ("", "ssh_") for key in ("host", "user", "port")),
}
_TOO_MANY = f"there are more than {_MOST_HOSTS:,} hosts"
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
        raise SettingsError(f"{quoted(text)} is not a host; write user@host, or ssh://user@host:port")
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
        raise invalid_file(name, reader.mistakes)
    if not hosts:
        raise SettingsError(f"{name} names no host")
    return hosts


class _Inventory:
    """The variables of hosts and groups; ssh's arguments are ignored, because they can run commands on this machine."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._variables: dict[str, dict[str, str]] = {}
        self._groups: dict[str, list[str]] = {}
        self._members = 0
        self._group_variables: dict[str, dict[str, str]] = {}
        self._parents: dict[str, list[str]] = {}
        self._inherited: dict[str, dict[str, str]] = {}

    def read_json(self, text: str) -> None:
        """Read the output of `ansible-inventory --list`, which has the variables of groups at each host."""
        try:
            document: Any = json.loads(text)
            variables = document["_meta"]["hostvars"]
            groups = [group for key, group in document.items() if key != "_meta"]
            names = {name for group in groups for name in group.get("hosts", ())} | {*variables}
            if len(names) > _MOST_HOSTS:
                self.mistakes.append(_TOO_MANY)
                return
            for name in sorted(names):
                known = variables.get(name, {}).items()
                used = {key: value for key, value in known if key in _VARIABLES and value is not None}
                self._variables[name] = {key: str(value) for key, value in used.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.mistakes.append("is not the output of `ansible-inventory --list`")

    def read_lines(self, text: str) -> None:
        """Read a list of hosts, or an inventory in the INI format."""
        group, kind = "ungrouped", None
        lines = text.splitlines()
        if len(lines) > _MOST_LINES:
            self.mistakes.append(f"there are more than {_MOST_LINES:,} lines")
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith((";", "#")):
                continue
            try:
                if len(line) > _LONGEST_LINE:
                    raise ValueError(f"it has more than {_LONGEST_LINE:,} characters")  # noqa: TRY301
                if section := _SECTION.fullmatch(line.partition("#")[0].strip()):
                    group, kind = section[1].strip(), section[2]
                else:
                    self._read_line(line, group, kind)
            except ValueError as error:
                self.mistakes.append(f"line {number}: {error}")
            if len(self._variables) > _MOST_HOSTS or self._members > _MOST_MEMBERS:
                self.mistakes.append(_TOO_MANY)
                return

    def _read_line(self, line: str, group: str, kind: str | None) -> None:
        """Read a *line* of the section of *group*; raises ValueError."""
        words = shlex.split(line, comments=True)
        if kind == "vars":
            self._group_variables.setdefault(group, {}).update(_assignments([line.partition(" #")[0]]))
        elif kind == "children":
            self._parents.setdefault(words[0], []).append(group)
        else:
            variables = _assignments(words[1:])
            for name in _expanded(words[0]):
                self._variables.setdefault(name, {}).update(variables)
                self._groups.setdefault(name, []).append(group)
                self._members += 1
                if len(self._variables) > _MOST_HOSTS or self._members > _MOST_MEMBERS:
                    return

    def hosts(self) -> Iterator[Host]:
        """The hosts in their order."""
        if self.mistakes == [_TOO_MANY]:
            return
        for name, own in self._variables.items():
            try:
                variables: dict[str, str] = {}
                for group in ("all", *dict.fromkeys(self._groups.get(name, ()))):
                    variables |= self._of_group(group)
                yield _host(name, variables | own)
            except (SettingsError, ValueError) as error:
                self.mistakes.append(str(error))

    def _of_group(self, group: str, depth: int = 0) -> dict[str, str]:
        """The variables of *group*, which replace those of its parents; raises ValueError."""
        if depth > _DEEPEST_GROUP:
            raise ValueError(f"the group {quoted(group)} contains itself, or is nested too deeply")
        if group not in self._inherited:
            variables: dict[str, str] = {}
            for parent in self._parents.get(group, ()):
                variables |= self._of_group(parent, depth + 1)
            self._inherited[group] = variables | self._group_variables.get(group, {})
        return self._inherited[group]


def _assignments(texts: Iterable[str]) -> dict[str, str]:
    """The values of *texts*, each ``KEY=VALUE``, for the keys that are used; raises ValueError."""
    return {key: value for key, value in map(_assignment, texts) if key in _VARIABLES}


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{quoted(text)} is not KEY=VALUE")
    return key.strip(), value.strip().strip("\"'")


def _expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern such as ``web[01:10]`` stands for; raises ValueError."""
    if sum(1 for _ in _RANGE.finditer(pattern)) > _MOST_RANGES:
        raise ValueError(f"{quoted(pattern)} has more than {_MOST_RANGES} ranges")
    match = _RANGE.search(pattern)
    if not match:
        yield pattern
        return
    first, last, step = match[1], match[2], int(match[3] or 1)
    if first.isdigit() != last.isdigit():
        raise ValueError(f"{match[0]} is not a range")
    ends = (int(first), int(last)) if first.isdigit() else (ord(first), ord(last))
    values = range(ends[0], ends[1] + 1, step)
    if not 0 < len(values) <= _MOST_HOSTS:
        raise ValueError(f"{match[0]} stands for {len(values):,} hosts")
    width = len(first) if first.startswith("0") else 0
    names = (str(value).rjust(width, "0") if first.isdigit() else chr(value) for value in values)
    for name in names:
        yield from _expanded(pattern[: match.start()] + name + pattern[match.end() :])


def _host(name: str, variables: Mapping[str, str]) -> Host:
    check_name(name)
    connection = variables.get("ansible_connection", "ssh")
    if connection not in _CONNECTIONS:
        raise ValueError(f"{name}: ansible_connection is {quoted(connection)}; only ssh is supported")
    address = parse_address(variables.get("ansible_host") or variables.get("ansible_ssh_host") or name).address
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user") or ""
    if user and not _USER.fullmatch(user):
        raise ValueError(f"{name}: {quoted(user)} is not a user name")
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise ValueError(f"{name}: {quoted(port)} is not a port")
    return Host(name, f"{user}@{address}" if user and "@" not in address else address, int(port) if port else None)
