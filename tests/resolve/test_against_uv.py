"""Random small indexes on loopback under uv: no answer of uv where there is none here, and no root that uv has newer alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.benchmarks.hard import bodies
from tests.benchmarks.synthetic import serving
from tests.resolve.test_conformance import clean, find_uv
from tests.resolve.test_exhaustive import FIRST, TARGET, is_special, raised, resolved
from tests.support.random_cases import varied_case
from tests.support.small_index import Answer, Case, Oracle

# More projects than all answers can be listed of.
LARGEST = 9
OPTIONS = "--no-header --no-annotate --quiet --only-binary :all: --python-version 3.11 --python-platform x86_64-manylinux_2_28"


def compiled(uv: str, case: Case, folder: Path) -> Answer | None:
    """The versions of ``uv pip compile``; None for "no"."""
    for name, lines in (("in", case.requires), ("constraints", case.constraints), ("overrides", case.overrides)):
        (folder / f"{name}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    command = [uv, "pip", "compile", "in.txt", "-c", "constraints.txt", "--override", "overrides.txt", *OPTIONS.split()]
    command += [
        "--cache-dir",
        str(folder / "uv-cache" / str(hash(case.requires))),
        "--python",
        sys.executable,
        "--refresh",
    ]
    with serving(bodies(case)) as url:
        ran = subprocess.run(
            [*command, "--index-url", url], capture_output=True, text=True, check=False, cwd=folder, env=clean()
        )
    if ran.returncode:
        assert "No solution found" in ran.stderr, ran.stderr
        return None
    return dict(re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)", ran.stdout, re.MULTILINE))


def explained(case: Case, answer: Answer, oracle: Oracle) -> bool:
    """Whether *answer* breaks a rule that uv reads otherwise: pre-releases beside final ones, or extras of overrides."""
    return not oracle.is_valid(answer) and (bool(case.overrides) or any(map(is_prerelease, answer.values())))


def is_prerelease(version: str) -> bool:
    """Whether a version is a pre-release."""
    return Version(version).is_prerelease


def is_special_for_uv(case: Case, answer: Answer) -> bool:
    """Whether *answer* has a pre-release or a yanked release, which uv admits only for requirements of the project."""
    return any(is_prerelease(version) or case.packages[name][version].yanked for name, version in answer.items())


@pytest.mark.online  # uv is installed for these tests
@pytest.mark.parametrize("seed", range(FIRST, FIRST + 100))
def test_uv_has_no_better_answer(seed: int, tmp_path: Path) -> None:
    """uv agrees, or its answer has no root newer alone; a "no" of one tool alone has a reason on record."""
    uv = find_uv()
    if uv is None:
        pytest.skip("MINGLIBC_TEST_UV names no uv, and there is none on PATH")
    case = varied_case(seed, largest=LARGEST)
    oracle = Oracle(case, TARGET)
    ours, theirs = resolved(case), compiled(uv, case, tmp_path)
    assert ours is None or oracle.is_valid(ours)
    if theirs is None:
        assert ours is None or case.overrides or is_special_for_uv(case, ours)
    elif ours is None:
        assert explained(case, theirs, oracle)
    else:
        newer = raised(ours, theirs, {Requirement(text).name for text in case.requires})
        assert not newer or explained(case, theirs, oracle) or is_special(case, ours, theirs, oracle)
