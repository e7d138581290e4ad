"""The end of life of distributions that settings name."""

from datetime import date

import pytest

from minglibc.app.named_distributions import ends_of_life, named_distributions

TODAY = date(2026, 11, 28)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ('glibc = "rhel-7"', ["rhel-7"]),
        ('glibc = "2.17"', []),
        ('glibc = { x86_64 = "rhel8", aarch64 = "jetpack-4" }', ["rhel-8", "jetpack-4"]),
        ('[[tool.minglibc.target]]\nglibc = "debian-11"\n[[tool.minglibc.target]]\nglibc = 1', ["debian-11"]),
        ('glibc = ["rhel-7"]', []),
        ("target = 1", []),
        ("= broken", []),
    ],
)
def test_named_distributions(settings: str, names: list[str]) -> None:
    """Names are found wherever a cap is accepted, and invalid settings are ignored."""
    assert names == [one.name for one in named_distributions(f"[tool.minglibc]\n{settings}\n")]


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("rhel-9", []),
        ("rhel-7", ["glibc 2.17 (RHEL 7) reached its end of life on 2024-06-30; extended support ends on 2028-06-30"]),
        ("centos-7", ["glibc 2.17 (CentOS 7) reached its end of life on 2024-06-30; it has no extended support"]),
    ],
)
def test_ends_of_life(name: str, sentences: list[str]) -> None:
    """A distribution is mentioned from its end of life on, with its extended support."""
    assert sentences == ends_of_life(f'[tool.minglibc]\nglibc = "{name}"\n', TODAY)
    assert [] == ends_of_life(None, TODAY)
