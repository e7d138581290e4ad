"""The C library versions in platform tags."""

import pytest

from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import GlibcVersion, MuslVersion


def test_tag_set_with_both_c_libraries() -> None:
    """`lowest_libcs` has the oldest version of each C library; pure wheels have none."""
    tail = "py3-none-manylinux_2_28_x86_64.manylinux2014_x86_64.musllinux_1_2_x86_64.musllinux_1_1_x86_64"
    assert {"glibc": GlibcVersion(2, 17), "musl": MuslVersion(1, 1)} == lowest_libcs(tail)
    assert {} == lowest_libcs("py3-none-any")


@pytest.mark.parametrize(
    "platform",
    [
        "musllinux_1_x86_64",
        "manylinux_2",
        "manylinux_²_17_x86_64",
        "musllinux_1_" + "9" * 5000 + "_x86_64",
        "manylinux",
        "_",
        "",
    ],
)
def test_invalid_platform_tags(platform: str) -> None:
    """Invalid platform tags have no C library."""
    assert {} == lowest_libcs(f"py3-none-{platform}")
