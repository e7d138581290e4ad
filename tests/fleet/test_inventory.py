"""Lists of hosts and Ansible inventories."""

import json
import time

import pytest

from minglibc.errors import SettingsError
from minglibc.fleet.inventory import Host, parse_address, parse_inventory

INVENTORY = """\
# the plant
controller
[plcs]
plc[01:03] ansible_port=2222   ; the gateway
[gateways]
gateway-[a:b].example.invalid ansible_user=root ansible_ssh_common_args="-o ProxyCommand=false"
[plant:children]
plcs
gateways
[plant:vars]
ansible_user = deploy
[all:vars]
ansible_port = 22
"""


def test_inventory() -> None:
    """Ranges are expanded, variables of groups and their parents apply, and arguments of ssh are ignored."""
    assert parse_inventory(INVENTORY.replace("   ; the gateway", ""), "hosts") == [
        Host("controller", "controller", 22),
        *(Host(f"plc0{number}", f"deploy@plc0{number}", 2222) for number in (1, 2, 3)),
        *(Host(f"gateway-{x}.example.invalid", f"root@gateway-{x}.example.invalid", 22) for x in "ab"),
    ]


def test_plain_list() -> None:
    """A file with one host a line is an inventory too."""
    hosts = parse_inventory("a\n\n# comment\nroot@b\nssh://c@[::1]:2222\n", "hosts.txt")
    assert [host.address for host in hosts] == ["a", "root@b", "ssh://c@[::1]:2222"]


def test_output_of_ansible_inventory() -> None:
    """The output of `ansible-inventory --list` has the variables of each host."""
    listed = {
        "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1", "ansible_port": 2222}}},
        "all": {"children": ["ungrouped"]},
        "ungrouped": {"hosts": ["a", "b"]},
    }
    assert parse_inventory(json.dumps(listed), "hosts.json") == [Host("a", "10.0.0.1", 2222), Host("b", "b")]


def test_all_mistakes_are_listed() -> None:
    """Every mistake of a file is reported at once, with its line or its host."""
    text = "-oProxyCommand=x\na b\nc[1:0]\nd ansible_port=x\ne ansible_connection=local\nf ansible_user='-l'\n"
    with pytest.raises(SettingsError) as caught:
        parse_inventory(text, "hosts")
    lines = caught.value.message.splitlines()
    assert len(lines) == 7
    assert "line 2: 'b' is not KEY=VALUE" in lines[1]
    assert "'-oProxyCommand=x' is not a host" in caught.value.message


@pytest.mark.parametrize(
    "text", ["-v", "", "a b", "a\nb", "a;b", "$(a)", "ssh://-x", "u@-oProxyCommand", "ssh://u@-l:22", "ä", "a" * 300]
)
def test_addresses_that_are_refused(text: str) -> None:
    """What ssh or a shell could take for something else is not a host."""
    with pytest.raises(SettingsError):
        parse_address(text)


@pytest.mark.parametrize("text", ["{", "{}", '{"_meta": []}', '{"_meta": {"hostvars": {"a": 1}}}', "[a]\n", ""])
def test_files_without_hosts(text: str) -> None:
    """A file that names no host, or that is damaged, is an error."""
    with pytest.raises(SettingsError):
        parse_inventory(text, "hosts.json")


def test_yaml() -> None:
    """An inventory in YAML is refused with the command that converts it."""
    with pytest.raises(SettingsError) as caught:
        parse_inventory("all:\n", "hosts.yml")
    assert caught.value.hint == "ansible-inventory -i hosts.yml --list > hosts.json"


HOSTILE = {
    "a long line": "a b=" + "c" * 1_000_000,
    "a long name": "a" * 9000,
    "many lines": "a\n" * 200_000,
    "many mistakes": "a 'b\n" * 20_000,
    "a range": "a[0:999999]\n" * 1000,
    "ranges that multiply": "a[1:100][1:100][1:100]",
    "many ranges": "a" + "[1:1]" * 1500,
    "the same range": "a[1:9999]\n" * 2000,
    "a loop of groups": "[a]\nx\n[a:children]\nb\n[b:children]\na\n",
    "a group in itself": "[a]\nx\n[a:children]\na\n",
    "deep groups": "[0]\nx\n" + "".join(f"[{n + 1}:children]\n{n}\n" for n in range(3000)),
    "a large port": "a ansible_port=" + "9" * 5000,
    "a name with an escape sequence": "a\x1b[31m ansible_host=b",
    "a surrogate": '{"_meta": {"hostvars": {"\\ud800": {"ansible_host": "a"}}}}',
    "many hosts": '{"_meta": {"hostvars": {' + ",".join(f'"{n}": {{}}' for n in range(10_001)) + "}}}",
    "deep JSON": '{"_meta": ' + "[" * 100_000,
    "a large number": '{"_meta": {"hostvars": {"a": {"ansible_port": ' + "9" * 5000 + "}}}}",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_inventories(kind: str) -> None:
    """Whatever is in an inventory, it is refused quickly, by a short message."""
    started = time.process_time()
    with pytest.raises(SettingsError) as caught:
        parse_inventory(HOSTILE[kind], "hosts")
    assert time.process_time() - started < 5
    assert len(caught.value.message) < 7000


def test_groups_that_share_parents() -> None:
    """Variables of a parent apply through any of its groups, and those of the group replace them."""
    text = "[a]\nx\n[b]\nx\n[c:children]\na\nb\n[c:vars]\nansible_user=c\nansible_port=1\n[b:vars]\nansible_port=2\n"
    assert parse_inventory(text, "hosts") == [Host("x", "c@x", 2)]


def test_null_in_json() -> None:
    """A variable that is null is not set."""
    listed = {"_meta": {"hostvars": {"a": {"ansible_user": None, "ansible_port": None}}}}
    assert parse_inventory(json.dumps(listed), "hosts") == [Host("a", "a")]
