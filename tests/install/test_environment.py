"""Reading installed distributions."""

from pathlib import Path

from minglibc.install.environment import Environment
from tests.support.elves import elf
from tests.support.environments import site_packages
from tests.support.transactions import install, prefix_of
from tests.support.wheels import build_wheel


def test_damage_is_described(environment: Environment, tmp_path: Path) -> None:
    """Missing files, changed files and a missing RECORD are described."""
    site = site_packages(prefix_of(environment))
    for name in ("gone", "changed", "bare"):
        install(environment, tmp_path / "w", build_wheel(name, "1"))
    (site / "gone" / "__init__.py").unlink()
    (site / "changed" / "__init__.py").write_text("# more than there was before, surely\n", encoding="utf-8")
    (site / "bare-1.dist-info" / "RECORD").unlink()
    damages = {distribution.name: distribution.damage for distribution in environment.distributions()}
    assert damages["gone"].endswith("gone/__init__.py is missing")
    assert damages["changed"].endswith("changed/__init__.py was changed")
    assert damages["bare"] == "it has no RECORD"


def test_binaries_are_read(environment: Environment, tmp_path: Path) -> None:
    """The ELF files of an installed distribution are read."""
    content = elf(needs={"libc.so.6": ("GLIBC_2.30",)})
    tag = "cp311-cp311-manylinux_2_34_x86_64"
    install(environment, tmp_path / "w", build_wheel("c", "1", tag, files={"c/x.so": content, "c/__init__.py": ""}))
    (distribution,) = environment.distributions()
    assert [binary.path.rpartition("/")[2] for binary in environment.binaries(distribution)] == ["x.so"]
