"""Targets from machines."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.errors import SettingsError
from minglibc.fleet.facts import dump_fleet, read_facts
from minglibc.fleet.machine import Machine
from minglibc.fleet.targets import fleet_of, has_older_libstdcxx
from minglibc.lock.selection import Machine as Installer
from minglibc.lock.selection import choose_target
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

RHEL = Machine("a", "x86_64", GlibcVersion(2, 28), (PythonVersion(9, 2), PythonVersion(11, 7)), "rhel-8", "3.4.25")
JETSON = Machine("b", "aarch64", GlibcVersion(2, 27), (PythonVersion(9, 18),), "ubuntu-18.04", "3.4.25")
ALPINE = Machine("c", "x86_64", MuslVersion(1, 2), (PythonVersion(12, 1),))


def test_one_kind() -> None:
    """Machines of one kind have the lowest glibc and the lowest patch release of all."""
    newer = RHEL._replace(name="n", cap=GlibcVersion(2, 34), pythons=(PythonVersion(9, 1),))
    fleet = fleet_of([newer, RHEL])
    assert fleet.table == {"glibc": "2.28", "python": ["3.9"]}
    assert fleet.kinds[0].oldest_python == PythonVersion(9, 1)


def test_several_kinds() -> None:
    """Machines of several kinds have a target for each kind."""
    assert fleet_of([RHEL, JETSON, ALPINE]).table == {
        "target": [
            {"name": "cp39-aarch64-glibc", "python": "3.9", "architecture": "aarch64", "glibc": "2.27"},
            {"name": "cp39-x86_64-glibc", "python": "3.9", "architecture": "x86_64", "glibc": "2.28"},
            {"name": "cp312-x86_64-musl", "python": "3.12", "architecture": "x86_64", "musl": "1.2"},
        ]
    }


def test_requires_python_selects_the_interpreter() -> None:
    """The default interpreter is used where requires-python allows it, else the newest that it allows."""
    assert fleet_of([RHEL], ">=3.8").kinds[0].target.python == PythonVersion(9)
    assert fleet_of([RHEL], ">=3.10").kinds[0].target.python == PythonVersion(11)


def test_unserved_machines() -> None:
    """Machines that no target can serve are listed with the reason."""
    strange = RHEL._replace(name="s", architecture="sparc64")
    fleet = fleet_of([RHEL._replace(pythons=()), JETSON, strange], ">=3.10")
    reasons = [reason for _, reason in fleet_of([RHEL._replace(pythons=()), JETSON], ">=3.10").unserved]
    assert reasons == ["it has no CPython 3", "it has Python 3.9.18, and requires-python is >=3.10"]
    assert not fleet.kinds[1:]
    assert "sparc64" in fleet.unserved[-1][1]


def test_older_libstdcxx() -> None:
    """The target of a machine whose libstdc++ is older than what wheels within its glibc may need has its version."""
    old, older = RHEL._replace(libstdcxx="3.4.21"), RHEL._replace(libstdcxx="3.4.19")
    assert fleet_of([RHEL, old, older]).table == {"glibc": "2.28", "python": ["3.9"], "libstdcxx": "3.4.19"}
    kinds = fleet_of([old, JETSON]).kinds
    assert [kind.target.libstdcxx for kind in kinds] == ["", "3.4.21"]
    assert fleet_of([old, JETSON]).table["target"][1]["libstdcxx"] == "3.4.21"
    assert not any(has_older_libstdcxx(machine, kind.target) for kind in kinds for machine in kind.machines)
    assert has_older_libstdcxx(older, kinds[1].target)
    assert not has_older_libstdcxx(ALPINE._replace(libstdcxx="3.4.10"), fleet_of([ALPINE]).kinds[0].target)


def test_excluded_patch_releases(tmp_path: Path, index: IndexServer) -> None:
    """`check` lists all packages that exclude the patch release of a machine's Python, and the first that they allow."""
    index.add(build_wheel("a", "1.0", requires_python="!=3.9.0,!=3.9.1,>=3.8"))
    index.add(build_wheel("b", "2.0", requires_python=">=3.9.5"))
    index.add(build_wheel("c", "3.0", requires_python=">=3.9"))
    folder = write_project(tmp_path / "project", index, ["a", "b", "c"], python=["3.9"])
    lock(folder)
    machines = [RHEL._replace(pythons=(PythonVersion(9, patch),)) for patch in (1, 5)]
    (tmp_path / "fleet.json").write_text(dump_fleet(machines))
    ran = minglibc("check", "--project", str(folder), "--from-facts", str(tmp_path / "fleet.json"))
    assert 1 == ran.code
    excluded = "a: Python 3.9.1 is excluded by a 1.0 (3.9.2 or newer), b 2.0 (3.9.5 or newer)\n"
    assert excluded + "a: cp39-x86_64-glibc2.17\n" == ran.out


MACHINES = st.lists(
    st.builds(
        Machine,
        st.text("abc", min_size=1),
        st.sampled_from(["x86_64", "aarch64"]),
        st.builds(GlibcVersion, st.just(2), st.integers(17, 40)),
        st.lists(st.builds(PythonVersion, st.integers(8, 13), st.integers(0, 9), st.just(value=False)), min_size=1).map(
            tuple
        ),
        distribution=st.sampled_from(["", "rhel-8.6"]),
        libstdcxx=st.sampled_from(["", "3.4.25"]),
        cpu=st.sampled_from(["", "x86-64-v2"]),
    ),
    min_size=1,
)


@settings(max_examples=50)
@given(MACHINES)
def test_every_machine_is_served(machines: list[Machine]) -> None:
    """A lock with the targets of a fleet has one for each of its machines, and fleet.json keeps the machines."""
    fleet = fleet_of(machines)
    targets = [kind.target for kind in fleet.kinds]
    assert len(machines) == sum(len(kind.machines) for kind in fleet.kinds)
    for kind in fleet.kinds:
        for machine in kind.machines:
            assert (
                choose_target(Installer(machine.pythons[0], machine.architecture, machine.cap), targets) == kind.target
            )
    assert read_facts(dump_fleet(machines), "fleet.json") == machines


ANSIBLE = {
    "ansible_distribution": "RedHat",
    "ansible_distribution_version": "8.6",
    "ansible_distribution_major_version": "8",
    "ansible_architecture": "x86_64",
    "ansible_python_version": "3.6.8",
    "ansible_nodename": "a",
}


def test_facts_of_ansible() -> None:
    """Ansible's facts of one host or of several are read; the distribution determines glibc."""
    expected = Machine("a", "x86_64", GlibcVersion(2, 28), (PythonVersion(6, 8),), "rhel-8", "3.4.25")
    for facts in (ANSIBLE, {"ansible_facts": ANSIBLE}, {"a": {"ansible_facts": ANSIBLE}}, {"a": ANSIBLE}):
        assert read_facts(json.dumps(facts), "facts.json") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"machines": []}', '{"version": 2, "machines": []}', '{"version": 1, "machines": [1]}'),
        *('{"version": 1, "machines": [{"name": "a"}]}', '{"a": 1}', "[" * 10000),
    ],
)
def test_damaged_facts(text: str) -> None:
    """A file that is no fleet.json and has no facts is an error."""
    with pytest.raises(SettingsError):
        read_facts(text, "facts.json")
