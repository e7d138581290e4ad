"""Distributions as names of caps."""

import json
import re
from datetime import date

import pytest

from minglibc.errors import TargetError
from minglibc.model.distributions import distributions, find_distribution, similar_names, with_distribution
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, MuslVersion
from tests.support.commands import minglibc
from tests.support.explained import Project
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

KNOWN = {
    "amzn-2": "2.26",
    "centos-7": "2.17",
    "debian-10": "2.28",
    "debian-11": "2.31",
    "debian-12": "2.36",
    "jetpack-4": "2.27",
    "ol-8": "2.28",
    "rhel-7": "2.17",
    "rhel-8": "2.28",
    "rhel-9": "2.34",
    "rocky-9": "2.34",
    "sles-15.0": "2.26",
    "sles-15.3": "2.31",
    "ubuntu-18.04": "2.27",
    "ubuntu-20.04": "2.31",
    "ubuntu-22.04": "2.35",
    "ubuntu-24.04": "2.39",
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name: str) -> None:
    """The table has the glibc of well-known releases."""
    assert KNOWN[name] == distributions()[name].glibc == str(GlibcVersion.parse(name))


def test_table() -> None:
    """Each row has a version of glibc that is known, and dates in order."""
    for name, row in distributions().items():
        assert GlibcVersion.parse(row.glibc) <= NEWEST_GLIBC, name
        assert re.fullmatch(r"(3\.4\.\d+)?", row.glibcxx), name
        dates = [date.fromisoformat(text) for text in (row.end_of_life, row.end_of_extended_support) if text]
        assert dates == sorted(dates), name
        assert str(row)[0].isupper() or row.id in {"openeuler", "opensuse-leap"}
        assert find_distribution(name) is row


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rhel8", "rhel-8"),
        ("RHEL 8", "rhel-8"),
        ("rhel-8.6", "rhel-8"),
        ("redhat_9", "rhel-9"),
        ("ubuntu-18", "ubuntu-18.04"),
        ("ubuntu18.04", "ubuntu-18.04"),
        ("debian-11.7", "debian-11"),
        ("raspbian-12", "debian-12"),
        ("amazonlinux2", "amzn-2"),
        ("amazon-linux-2023", "amzn-2023"),
        ("oraclelinux-9", "ol-9"),
        ("rockylinux8", "rocky-8"),
        ("sles-15", "sles-15.0"),
        ("suse-15.4", "sles-15.4"),
        ("opensuse-15", "opensuse-leap-15.0"),
    ],
)
def test_names(text: str, name: str) -> None:
    """Aliases, other spellings, and a major version alone, which is its oldest release."""
    found = find_distribution(text)
    assert found is not None
    assert name == found.name


@pytest.mark.parametrize(
    "text", ["", "rhel", "ubuntu-18.10", "debian-99", "8-rhel", "rhel--8", "rhel-8-", "rhel-8.", "x" * 1000, "ʀhel-8"]
)
def test_unknown_names(text: str) -> None:
    """What is not in the table is no distribution: 18.10 has another glibc than 18.04."""
    assert find_distribution(text) is None
    with pytest.raises(TargetError, match="is not a glibc version"):
        GlibcVersion.parse(text)


def test_similar_names() -> None:
    """An unknown name gets the known ones that are like it."""
    assert ["debian-11"] == similar_names("debain-11")[:1]
    assert "ubuntu-18.04" in similar_names("ubuntu-18.10")
    assert [] == similar_names("x" * 1000)
    with pytest.raises(TargetError, match='set musl = "1\\.2" instead'):
        GlibcVersion.parse("alpine-3.19")


def test_caps_by_name(project: Project) -> None:
    """A distribution is accepted wherever a version is, and the lock has the version."""
    project.write("a", glibc="debian-11").lock()
    text = (project.folder / "pylock.toml").read_text()
    assert 'glibc = "2.31"' in text
    assert "debian" not in text
    assert 0 == project.run("lock", "--check").code
    ran = project.run("lock", "--glibc", "rhel8")
    assert (0, True) == (ran.code, 'glibc = "2.28"' in (project.folder / "pylock.toml").read_text())
    ran = minglibc("tags", "--glibc", "centos-7", "--python", "3.9")
    assert "manylinux_2_17_x86_64" in ran.out
    assert "manylinux_2_18" not in ran.out
    ran = project.run("lock", "--glibc", "debain-11")
    assert (2, True) == (ran.code, "did you mean debian-11" in ran.err)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, index: IndexServer) -> Project:
    """A project with one package."""
    index.add(build_wheel("a", "1.0"))
    return Project(tmp_path_factory.mktemp("project"), index)


def test_list() -> None:
    """`caps --distributions` lists the table, and needs no project."""
    ran = minglibc("caps", "--distributions")
    assert "rhel-8" in ran.out
    assert "2032-05-31" in ran.out
    listed = json.loads(minglibc("caps", "--distributions", "--json").out)
    assert {"id": "centos", "version": "7", "glibc": "2.17"}.items() <= next(
        row for row in listed if row["id"] == "centos"
    ).items()


def test_names_in_messages() -> None:
    """A version of glibc is named with the best-known distribution that has it, if there is one."""
    assert "glibc 2.28 (RHEL 8)" == with_distribution(GlibcVersion(2, 28))
    assert "glibc 2.31 (Debian 11)" == with_distribution(GlibcVersion(2, 31))
    assert "glibc 2.29" == with_distribution(GlibcVersion(2, 29))
    assert "musl 1.2" == with_distribution(MuslVersion(1, 2))
