"""Wheels are checked before they are unpacked."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minglibc.cache.unpacked_wheels import Unpacked
from minglibc.cache.wheels import identity_of
from minglibc.errors import WheelError
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.transaction import Prepared
from minglibc.install.unpack import unpack
from minglibc.install.wheel import opened
from tests.support.environments import leftovers, snapshot
from tests.support.faults import FAULTS
from tests.support.index import IndexServer
from tests.support.special_files import KINDS, make_special
from tests.support.transactions import install, prefix_of, stored
from tests.support.wheels import BuiltWheel, build_wheel, tamper

ROWS = {
    "N62": "outside its folder",
    "N63": "absolute path",
    "N64": "backslash",
    "N65": "symbolic link",
    "N66": "RECORD",
    "N67": "has no b-1.0.dist-info/RECORD",
    "N69": "that it does not have",
    "N70": "has no .dist-info",
    "N71": "has 2 .dist-info folders",
    "N72": "another project",
    "N73": "two members named",
    "N74": "Wheel-Version 2.0",
    "N76": "outside its folder",
    "N77": "belongs to the interpreter",
    "N78": "invalid name",
    "N80": "bomb",
    "N81": "unsupported compression",
    "N82": "bytes before its start",
}


def served(index: IndexServer, row: str) -> BuiltWheel:
    """The wheel of b in *row* of the catalogue of faults."""
    FAULTS[row](index)
    (file,) = index._projects["b"].files.values()
    return BuiltWheel(file.filename, file.content, file.metadata, "b", "1.0")


@pytest.mark.parametrize("row", ROWS)
def test_invalid_wheel_changes_nothing(row: str, index: IndexServer, environment: Environment, tmp_path: Path) -> None:
    """N62 to N82: the error names the problem, and neither the environment nor anything around it has changed."""
    install(environment, tmp_path / "wheels", build_wheel("a", "1.0", files={"a/__init__.py": "A = 1\n"}))
    bad = stored(tmp_path / "wheels", served(index, row))
    before = snapshot(tmp_path)
    with (
        transaction.locked(environment.prefix),
        pytest.raises(WheelError) as refused,
        transaction.begin(environment) as change,
    ):
        change.prepare([bad], environment.distributions())
    assert ROWS[row] in str(refused.value)
    assert "b-1.0-py3-none-any.whl" in str(refused.value)
    assert before == snapshot(tmp_path)
    assert leftovers(prefix_of(environment)) == set()
    assert not Path("/tmp/conf_evil.py").exists()


MORE: dict[str, tuple[Callable[[], BuiltWheel], str]] = {
    "no specifier": (lambda: build_wheel("b", "1.0", requires_python="three"), "invalid Requires-Python: 'three'"),
    "junk after": (lambda: tamper(build_wheel("b", "1.0"), suffix=b"J" * 100), "bytes after its end"),
    "case clash": (lambda: tamper(build_wheel("b", "1.0"), add={"b/X.py": "", "b/x.py": ""}), "has both"),
    "file and folder": (lambda: tamper(build_wheel("b", "1.0"), add={"q": "", "q/x.py": ""}), "both as a file"),
    "dot": (lambda: tamper(build_wheel("b", "1.0"), add={"./q.py": ""}), "outside its folder"),
    "double slash": (lambda: tamper(build_wheel("b", "1.0"), add={"b//q.py": ""}), "outside its folder"),
    "null": (lambda: tamper(build_wheel("b", "1.0"), add={"q\0.py": ""}), "null byte"),
    "pyvenv.cfg": (lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/pyvenv.cfg": ""}), "pyvenv.cfg"),
    "python by data": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/bin/python3.11": ""}),
        "belongs to the interpreter",
    ),
    "activate": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/scripts/activate": ""}),
        "belongs to the interpreter",
    ),
    "our own folder": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/.minglibc/x": ""}),
        "belongs to the environment",
    ),
    "another's dist-info": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/purelib/a-1.0.dist-info/METADATA": ""}),
        "belongs to another distribution",
    ),
    "unknown scheme": (lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/other/x": ""}), "unknown scheme"),
    "python by entry point": (lambda: build_wheel("b", "1.0", scripts={"python3": "b:main"}), "interpreter"),
    "entry point code": (lambda: build_wheel("b", "1.0", scripts={"x": "b:main; import os"}), "invalid entry point"),
    "entry point without": (lambda: build_wheel("b", "1.0", scripts={"x": "b"}), "invalid entry point"),
    "name twice": (
        lambda: tamper(build_wheel("b", "1.0", scripts={"x": "b:main"}), add={"b-1.0.data/scripts/x": ""}),
        "would write bin/x twice",
    ),
    "other version": (lambda: build_wheel("b", "1.0", metadata_version="9"), "the version '9'"),
    "other name": (lambda: build_wheel("b", "1.0", metadata_name="evil"), "the name 'evil'"),
    "weak hash": (
        lambda: tamper(
            build_wheel("b", "1.0"), replace={"RECORD": "b/__init__.py,md5=abc,\nb-1.0.dist-info/RECORD,,\n"}
        ),
        "no usable hash",
    ),
    "no zip": (lambda: build_wheel("b", "1.0")._replace(content=b"<html>"), "not a readable zip"),
    "hash of the same size": (
        lambda: tamper(build_wheel("b", "1.0"), replace={"b/__init__.py": '__version__ = "6.6"\n'}, record=False),
        "hash differs from RECORD",
    ),
}


@pytest.mark.parametrize("kind", MORE)
def test_more_invalid_wheels(kind: str, environment: Environment, tmp_path: Path) -> None:
    """Invalid wheels that are not in the catalogue are rejected too."""
    make, words = MORE[kind]
    bad = stored(tmp_path / "wheels", make())
    before = snapshot(tmp_path)
    with (
        transaction.locked(environment.prefix),
        pytest.raises(WheelError) as refused,
        transaction.begin(environment) as change,
    ):
        change.prepare([bad], [])
    assert words in str(refused.value)
    assert before == snapshot(tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_archives(environment: Environment, tmp_path: Path, data: st.DataObject) -> None:
    """A wheel with flipped or missing bytes is rejected or unpacked unchanged; there is no other error."""
    good = build_wheel("b", "1.0", scripts={"b": "b:main"})
    content = bytearray(good.content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    bad = stored(tmp_path / "wheels", good._replace(content=bytes(content)))
    outcome = _unpacked(bad, environment, tmp_path / "out")
    module = f"{environment.layout.purelib}/b/__init__.py"
    assert isinstance(outcome, str) or outcome[module] == b'__version__ = "1.0"\n'


def _unpacked(wheel: Prepared, environment: Environment, folder: Path) -> dict[str, bytes] | str:
    """The files of *wheel*, or the error."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with opened(wheel.path, wheel.filename, environment.layout) as (checked, archive):
            nothing = Unpacked("", 0o022, 0)
            unpack(checked, archive, str(folder), environment.layout, additional={}, unpacked=nothing)
    except WheelError as refused:
        return refused.message
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", ["replaced", "rewritten", "unlinked and replaced"])
def test_installed_bytes_are_the_verified_ones(change: str, environment: Environment, tmp_path: Path) -> None:
    """A file that changes after its hash was verified is hashed again; if it differs, nothing is installed."""
    good, evil = (build_wheel("b", "1.0", files={"b/__init__.py": text}) for text in ("B = 1\n", "B = 2\n"))
    prepared = stored(tmp_path / "w", good)
    with open(prepared.path, "rb") as file:
        prepared = prepared._replace(content=prepared.digest, identity=identity_of(file.fileno()))
    path = Path(prepared.path)
    if change == "replaced":
        (tmp_path / "evil").write_bytes(evil.content)
        (tmp_path / "evil").replace(path)
    else:
        if change != "rewritten":
            path.unlink()
        path.write_bytes(evil.content)
    with pytest.raises(WheelError, match="was changed after its hash was verified"):
        attempt(environment, prepared)
    path.write_bytes(good.content)
    attempt(environment, prepared)


def attempt(environment: Environment, prepared: Prepared) -> None:
    """Unpack a wheel without installing it."""
    with transaction.locked(environment.prefix), transaction.begin(environment) as change:
        change.prepare([prepared], [])


@pytest.mark.parametrize("kind", KINDS)
def test_special_files(kind: str, environment: Environment, tmp_path: Path) -> None:
    """A wheel that is not a regular file is an error at once."""
    prepared = stored(tmp_path / "w", build_wheel("b", "1.0"))
    make_special(Path(prepared.path), kind)
    with pytest.raises(WheelError, match="can't read"):
        attempt(environment, prepared)
