"""Lists of hosts and Ansible inventories."""

import json

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


@pytest.mark.parametrize("text", ["-v", "", "a b", "a\nb", "a;b", "$(a)", "ssh://-x", "ä", "a" * 300])
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
