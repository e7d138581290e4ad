"""One package for each build system, built from source under the cap and imported on glibc 2.31."""

from pathlib import Path

import pytest

from tests.benchmarks.builds import PACKAGES, Results, measure

pytest.importorskip("ziglang")

SYSTEMS = ("markupsafe", "crc32c", "murmurhash", "frozenlist", "argon2-cffi-bindings", "pymongo", "levenshtein")


@pytest.mark.nightly
@pytest.mark.online
@pytest.mark.parametrize("name", SYSTEMS)
def test_build_systems(tmp_path: Path, name: str) -> None:
    """The newest release for CPython 3.9 builds within the cap, and the old glibc loads it where there is one."""
    (package,) = (package for package in PACKAGES if package.name == name)
    results = Results(tmp_path / "results.json")
    measure([package], ["zig"], results, str(tmp_path / "cache"))
    row = results.row(package, "zig")
    assert row is not None
    assert row.is_within_cap, row.result
    assert row.imported in {"yes", ""}
