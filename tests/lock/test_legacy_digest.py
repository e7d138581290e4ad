"""Locks of minglibc 0.1.0, whose digest covers the text of pyproject.toml, stay fresh."""

import shutil
from pathlib import Path

import pytest

from minglibc.lock.digest import is_current
from tests.support.commands import minglibc

MADE_BY_0_1_0 = Path(__file__).parent / "made_by_0_1_0"

# What 0.1.0 wrote as the digest of these files.
DIGESTS = {
    "comments and blank lines": (
        (
            '[project]\n'
            'name = "a" # x\n'
            '\n'
            '  dependencies = [\n'
            '    "b", # y\n'
            "    'c # d',\n"
            '  ]\n'
            '[tool.minglibc]\n'
            'glibc = "2.17"\n'
        ),
        "sha256:beca6ef87ca1635fad63d7aeaac6a609604e64c5f0057d15a58bbdad17ca6a21",
    ),
    "multi-line strings": (
        (
            '[project]\n'
            'name = "a"\n'
            'x = """\n'
            '[tool.ruff]\n'
            '\\"""z""""\n'
            "y = '''\n"
            "# no comment''''\n"
            '[tool.minglibc]\n'
            'glibc = "2.17"\n'
        ),
        "sha256:0e84ccfc0419953bfc37dca4d70bf5bd32a6b657fb05f4e53cce55b28cfb1e15",
    ),
    "other tables": (
        (
            '[tool.ruff]\n'
            'x = "[tool.minglibc]"\n'
            '[project.urls]\n'
            'a = "b"\n'
            '[project]\n'
            'version = "1"\n'
            'name = "a"\n'
            '[ tool . minglibc ]\n'
            'glibc = "2.17"\n'
        ),
        "sha256:e53ff676f9592d96cf5efd3f777e8d5cc35fa90f393678a435ccfc1b56351afc",
    ),
    "quoted and dotted keys": (
        (
            'project.name = "a"\n'
            '["tool"."minglibc"]\n'
            'glibc = "2.17"\n'
            '[tool."x"]\n'
            'y = 1\n'
        ),
        "sha256:4020b7c0516a8121b0f603314ca877d00b34ad82199f4af82a73f3540734fcfd",
    ),
    "inline tables": (
        (
            'dependency-groups = { dev = ["a", { include-group = "b" }], b = [ ] }\n'
            '[tool]\n'
            'minglibc = { glibc = "2.17" }\n'
            '[project]\n'
            'name = "a"\n'
        ),
        "sha256:c675b12a50a44a27e086cb7663a7e30a1d67f40afb13d4f55db6da897d2248b8",
    ),
    "a byte order mark and CRLF": (
        (
            '\ufeff[project]\r\n'
            'name = "a"\r\n'
            '[tool.minglibc]\r\n'
            'glibc = "2.17"\r\n'
        ),
        "sha256:8d5c23fbacd91b48da189bc3147cbcb987a6444a597687ae35aa12e6edb6d669",
    ),
    "no line end": (
        (
            '[tool.minglibc]\n'
            'glibc = "2.17"\n'
            '[project]\n'
            'name = "a"'
        ),
        "sha256:425da002eae565ec7c4c7cd2dd1f9c071608ae095fe874a877a35bd7c0b24d91",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIGESTS)
def test_digests_of_0_1_0_are_recognized(name: str) -> None:
    """The digest is recognized for the same text, and not for another value in it."""
    text, digest = DIGESTS[name]
    assert is_current(digest, text)
    assert not is_current(digest, text.replace("2.17", "2.18"))
    assert not is_current(digest, f"{text}\n[[")


def test_overrides_of_0_1_0_are_recognized() -> None:
    """The options that a lock was made with are part of the digest."""
    text, _ = DIGESTS["no line end"]
    digest = "sha256:f1e23fac3d56f7c024a2de66da4ce5b13ef78d392ac04794c9c84224b8b27a0c"
    assert is_current(digest, text, {"glibc": "2.27", "python": ("3.9",), "musl": None})
    assert not is_current(digest, text)


def test_lock_of_0_1_0_passes_the_check(tmp_path: Path) -> None:
    """`lock --check` accepts a lock that 0.1.0 wrote until a requirement changes; a new project version does not matter."""
    shutil.copytree(MADE_BY_0_1_0, tmp_path, dirs_exist_ok=True)
    for options in ([], ["-v"]):  # without and with the fast path
        assert 0 == minglibc("lock", "--check", "--offline", "--project", str(tmp_path), *options).code
    pyproject = tmp_path / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace("0.1.0", "0.2.0"), encoding="utf-8")
    assert 0 == minglibc("lock", "--check", "--offline", "--project", str(tmp_path)).code
    pyproject.write_text(text.replace('"paramiko"', '"paramiko<3"'), encoding="utf-8")
    assert 1 == minglibc("lock", "--check", "--offline", "--project", str(tmp_path)).code
