"""`check FILE`: the files that another tool's lock allows."""

import json
from pathlib import Path

import pytest

from tests.support.commands import Ran, minglibc
from tests.support.elves import elf
from tests.support.index import IndexServer
from tests.support.projects import RUNNING_OPTIONS, RUNNING_TARGET
from tests.support.source_locks import uv_lock
from tests.support.wheels import build_wheel

NEW = "cp39-abi3-manylinux_2_28_x86_64"
OLD = "cp39-abi3-manylinux_2_17_x86_64"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A uv.lock with a release that has two wheels, one only a newer one, and one only for other machines."""
    wheels = [
        *(build_wheel("a", "1.0", tag) for tag in (OLD, NEW)),
        build_wheel("b", "1.0", "cp39-abi3-manylinux_2_28_x86_64.manylinux_2_34_x86_64"),
        *(
            build_wheel("c", "1.0", tag)
            for tag in ("py3-none-any", "cp39-abi3-win_amd64", "cp39-abi3-musllinux_1_2_x86_64")
        ),
        build_wheel("d", "1.0", "cp39-abi3-win_amd64"),
    ]
    path = tmp_path / "uv.lock"
    path.write_text(uv_lock(["a", "b", "c", "d"], wheels))
    return path


def check(path: Path, *options: str) -> Ran:
    """Run `check` with a cap of 2.17."""
    return minglibc("check", str(path), *RUNNING_OPTIONS, *options)


def test_by_tag(source: Path) -> None:
    """Without network, the wheels above the cap are listed, and what has no wheel for the target."""
    ran = check(source)
    assert 1 == ran.code
    assert [
        ["a 1.0", f"a-1.0-{NEW}.whl", "needs glibc 2.28"],
        ["b 1.0", "b-1.0-cp39-abi3-manylinux_2_28_x86_64.manylinux_2_34_x86_64.whl", "needs glibc 2.28; no other file"],
        ["d 1.0", "-", "no wheel for this target: it is built from source"],
    ] == [line.split("  ", 1)[:1] + line.split(None, 2)[2].split(None, 1) for line in ran.out.splitlines()]
    assert "Checked 4 files of 4 packages in uv.lock against glibc 2.17, checked by tag: 3 findings" in ran.err
    assert 1 == check(source, "--glibc", "2.28").code


def test_within_the_cap(tmp_path: Path) -> None:
    """A lock whose files are all within the cap passes."""
    path = tmp_path / "uv.lock"
    path.write_text(uv_lock(["a"], [build_wheel("a", "1.0", OLD)]))
    assert 0 == check(path).code


def test_json(source: Path) -> None:
    """The JSON names the method, and for each finding its targets."""
    result = json.loads(check(source, "--json").out)
    assert "tag" == result["method"]
    assert "uv.lock version 1" == result["format"]
    first, second, third = result["findings"]
    assert [RUNNING_TARGET] == first["targets"]
    assert [True, False, False] == [finding["has-alternative"] for finding in (first, second, third)]
    assert third["file"] is None


def test_verify(tmp_path: Path, index: IndexServer) -> None:
    """With --verify, the ELF files of the wheels on the configured index decide, not the tags."""
    honest = build_wheel("a", "1.0", OLD, files={"a/x.so": elf()})
    understated = build_wheel("b", "1.0", OLD, files={"b/x.so": elf(needs={"libc.so.6": ["GLIBC_2.30"]})})
    for wheel in (honest, understated):
        index.add(wheel)
    path = tmp_path / "uv.lock"
    path.write_text(uv_lock(["a", "b"], [honest, understated]))
    assert 0 == check(path).code
    ran = check(path, "--verify", "--index-url", index.url)
    assert 1 == ran.code
    assert "b/x.so needs GLIBC_2.30" in ran.out
    assert "a/x.so" not in ran.out
    assert "checked by ELF: 1 finding" in ran.err


def test_requirements(tmp_path: Path, index: IndexServer) -> None:
    """The index has the names of the files that a requirements file lists by their hashes."""
    old, new = build_wheel("a", "1.0", OLD), build_wheel("a", "1.0", NEW)
    for wheel in (old, new):
        index.add(wheel)
    path = tmp_path / "requirements.txt"
    path.write_text(f"a==1.0 --hash=sha256:{old.sha256}\nz==1.0\n")
    ran = check(path, "--index-url", index.url)
    assert 0 == ran.code, ran.out + ran.err
    assert "not checked: z 1.0" in ran.err
    path.write_text("a==1.0\n")
    assert f"a-1.0-{NEW}.whl" in check(path, "--index-url", index.url).out


def test_own_lock(tmp_path: Path, index: IndexServer) -> None:
    """A lock of minglibc is checked as with --lock."""
    wheel = build_wheel("a", "1.0", OLD)
    index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a"], [wheel]))
    options = (*RUNNING_OPTIONS, "--index-url", index.url)
    assert 0 == minglibc("lock", "--from", str(tmp_path / "uv.lock"), *options).code
    ran = minglibc("check", str(tmp_path / "pylock.toml"))
    assert 0 == ran.code, ran.err
    assert "Checked 0 binaries in 1 wheel against glibc 2.17" in ran.err


def test_other_arguments(source: Path) -> None:
    """--verify is for locks of other tools, and a cap has to be given."""
    assert "--verify requires a lock of another tool" in minglibc("check", "--verify").err
    ran = minglibc("check", str(source))
    assert 2 == ran.code
    assert "there is no cap for uv.lock" in ran.err
