"""The readers of other tools' locks."""

import json

import pytest

from minglibc.errors import LockError
from minglibc.model.requirements import Environment
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.source_locks.model import SourceKind, SourceLock
from minglibc.source_locks.reader import read

UV = """version = 1
revision = 9
requires-python = ">=3.9"

[manifest]
constraints = [{ name = "c", specifier = "<9" }]

[[package]]
name = "app"
version = "0.1"
source = { editable = "." }
dependencies = [
    { name = "a", version = "1.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version < '3.11'" },
    { name = "a", version = "2.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version >= '3.11'" },
    { name = "member" },
]

[package.optional-dependencies]
fast = [
    { name = "b" },
]

[package.dev-dependencies]
dev = [
    { name = "app", extra = ["fast"] },
    { name = "c", marker = "sys_platform == 'win32'" },
]

[package.metadata]
requires-dist = [
    { name = "a", specifier = ">=1" },
    { name = "b", marker = "python_full_version >= '3.9' and extra == 'fast'", specifier = "==3.*" },
    { name = "member", editable = "packages/member" },
]
provides-extras = ["fast"]

[package.metadata.requires-dev]
dev = [
    { name = "app", extras = ["fast"], editable = "." },
    { name = "c", marker = "sys_platform == 'win32'" },
]

[[package]]
name = "member"
version = "1"
source = { editable = "packages/member" }
dependencies = [
    { name = "c" },
]

[package.metadata]
requires-dist = [{ name = "c", extras = ["x"], marker = "python_full_version >= '3.10'" }]

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.example.invalid/a-1.0.tar.gz", hash = "sha256:00", size = 1 }
wheels = [
    { url = "https://files.example.invalid/a-1.0-py3-none-any.whl", hash = "sha256:01", size = 2 },
]

[[package]]
name = "a"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
wheels = [
    { url = "https://files.example.invalid/a-2.0%2Bx-py3-none-any.whl", hash = "sha256:02" },
]

[[package]]
name = "b"
version = "3.1"
source = { registry = "https://other.example.invalid/simple" }

[[package]]
name = "c"
version = "4"
source = { git = "https://example.invalid/c?rev=1#0a" }
"""


def environment(python: str = "3.12") -> Environment:
    """The markers of a target for *python*."""
    return Environment(Target(PythonVersion.parse(python), "x86_64", GlibcVersion(2, 17)).environment)


def selected(lock: SourceLock, python: str = "3.12") -> dict[str, str]:
    """The versions that *lock* has for *python*."""
    return {name: package.version for name, package in lock.selected(environment(python)).items()}


def test_uv_requirements() -> None:
    """The requirements are those of the project, with those of the workspace's members in the place of the members."""
    lock = read(UV, "uv.lock")
    assert ("a>=1", "c[x] ; python_full_version >= '3.10'") == lock.requirements
    assert {"fast": ("b==3.* ; python_full_version >= '3.9'",)} == lock.extras
    assert {"dev": ("b==3.* ; python_full_version >= '3.9'", "c ; sys_platform == 'win32'")} == lock.groups
    assert ("c<9",) == lock.constraints
    assert ["app", "member"] == [package.name for package in lock.local]


def test_uv_versions_follow_the_edges() -> None:
    """Of two versions of a package, each environment has the one whose edge's marker it meets."""
    lock = read(UV, "uv.lock")
    assert {"a": "1.0", "b": "3.1", "c": "4"} == selected(lock, "3.9")
    assert "2.0" == selected(lock)["a"]
    assert SourceKind.VCS is lock.selected(environment())["c"].kind


def test_uv_files() -> None:
    """Files have their names and hashes, also in lists that are not written as uv writes them."""
    for text in (UV, UV.replace(", size = 2 },\n]", ", size = 2 }]").replace("    {", "  {")):
        first, second, *_ = (p for p in read(text, "uv.lock").packages if p.name == "a")
        assert [("a-1.0-py3-none-any.whl", "sha256:01"), ("a-1.0.tar.gz", "sha256:00")] == [f[:2] for f in first.files]
        assert "a-2.0+x-py3-none-any.whl" == second.files[0].name


def test_lists_in_strings_are_not_files() -> None:
    """A text that contains what looks like a list of files is not read as one."""
    text = UV.replace(
        "revision = 9", 'revision = 9\nnote = """\nwheels = [\n    { url = "x", hash = "sha256:66" },\n]\n"""'
    )
    assert "sha256:66" not in {value for package in read(text, "uv.lock").packages for value in package.hashes}


POETRY = """[[package]]
name = "A.b"
version = "1.0"
description = ""
optional = false
python-versions = ">=3.8,<4"
groups = ["main", "dev"]
markers = "python_version >= \\"3.9\\""
files = [
    {file = "a_b-1.0-py3-none-any.whl", hash = "sha256:01"},
]

[package.dependencies]
c = ">=1"

[[package]]
name = "c"
version = "2.0"
optional = false
python-versions = "*"
groups = ["main"]
files = []

[[package]]
name = "x"
version = "3.0"
optional = true
python-versions = "*"
groups = ["main"]
markers = "extra == \\"fast\\""
files = []

[package.source]
type = "legacy"
url = "https://other.example.invalid/simple"
reference = "other"

[extras]
fast = ["x"]

[metadata]
lock-version = "2.1"
python-versions = "^3.9"
content-hash = "00"
"""


def test_poetry_without_project() -> None:
    """Without the project's requirements, these are the packages that no other one requires."""
    lock = read(POETRY, "poetry.lock")
    assert ('a-b ; python_version >= "3.9"',) == lock.requirements
    assert {"dev": ('a-b ; python_version >= "3.9"',)} == lock.groups
    assert {"fast": ("x",)} == lock.extras
    assert ">=3.9,<4" == lock.requires_python
    assert {"a-b": "1.0", "c": "2.0", "x": "3.0"} == selected(lock)
    assert not lock.packages[2].has_public_index


def test_poetry_with_project() -> None:
    """Poetry's own tables have the requirements, in Poetry's syntax."""
    project = """[tool.poetry.dependencies]
python = "^3.9"
a-b = { version = "^1.0", python = "<3.12", extras = ["y"] }
x = { version = "~3.0", optional = true }
[tool.poetry.extras]
fast = ["x"]
[tool.poetry.group.dev.dependencies]
c = ">=2,<3 || >=4"
"""
    lock = read(POETRY, "poetry.lock", {"pyproject.toml": project})
    assert ('a-b[y]>=1.0,<2; python_version < "3.12"',) == lock.requirements
    assert {"fast": ("x>=3.0,<3.1",)} == lock.extras
    assert {"dev": ("c>=2,!=3.*",)} == lock.groups


def test_old_poetry() -> None:
    """Versions 1.x have the files of all releases of a project under its name, and a category for each package."""
    text = """[[package]]
name = "a"
version = "1.0"
category = "dev"
optional = false
python-versions = "*"

[metadata]
lock-version = "1.1"
python-versions = "*"

[metadata.files]
a = [
    {file = "a-1.0-py3-none-any.whl", hash = "sha256:01"},
    {file = "a-2.0.tar.gz", hash = "sha256:02"},
]
"""
    lock = read(text, "poetry.lock")
    assert {"dev": ("a",)} == lock.groups
    assert frozenset({"sha256:01"}) == lock.packages[0].hashes


def test_circle_of_requirements() -> None:
    """Packages that require each other are still reached from a requirement."""
    package = '[[package]]\nname = "{}"\nversion = "1"\nfiles = []\n[package.dependencies]\n{} = "*"\n'
    metadata = '[metadata]\nlock-version = "2.1"\npython-versions = "*"\n'
    lock = read(package.format("a", "b") + package.format("b", "a") + metadata, "poetry.lock")
    assert ("a",) == lock.requirements


def test_pdm() -> None:
    """An entry with extras is the same package as the one without; groups and markers are those of the entries."""
    text = """[metadata]
groups = ["default", "dev"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"

[[package]]
name = "a"
version = "1.0"
requires_python = ">=3.8"
groups = ["default"]
marker = "python_version >= \\"3.9\\""
dependencies = ["c"]
files = [
    {file = "a-1.0-py3-none-any.whl", hash = "sha256:01"},
]

[[package]]
name = "a"
version = "1.0"
extras = ["x"]
groups = ["dev"]
marker = "python_version >= \\"3.9\\""
dependencies = ["a==1.0"]
files = []

[[package]]
name = "c"
version = "2.0"
groups = ["default"]
files = []
"""
    lock = read(text, "pdm.lock")
    assert ('a[x] ; python_version >= "3.9"',) == lock.requirements
    project = '[project]\ndependencies = ["a[x]>=1"]\n[dependency-groups]\ndev = [{ include-group = "t" }]\nt = ["c"]\n'
    assert {"dev": ("c",), "t": ("c",)} == read(text, "pdm.lock", {"pyproject.toml": project}).groups


def test_pipfile() -> None:
    """Sections are groups, and a package comes from the index that its entry names, else the first one."""
    document = {
        "_meta": {
            "pipfile-spec": 6,
            "requires": {"python_version": "3.12"},
            "sources": [{"name": "pypi", "url": "https://pypi.org/simple"}, {"name": "o", "url": "https://o.invalid"}],
        },
        "default": {
            "A": {"version": "==1.0", "hashes": ["sha256:01"], "markers": "os_name == 'posix'", "extras": ["x"]}
        },
        "develop": {"b": {"version": "==2.0", "index": "o"}, "c": {"editable": True, "path": "."}},
    }
    lock = read(json.dumps(document), "Pipfile.lock")
    assert ("a[x] ; os_name == 'posix'",) == lock.requirements
    assert {"dev": ("b",)} == lock.groups
    assert "==3.12.*" == lock.requires_python
    assert [True, False] == [package.has_public_index for package in lock.packages[:2]]


def test_pylock() -> None:
    """Conditions on extras and groups become extras and groups; the other conditions stay."""
    text = """lock-version = "1.0"
extras = ["fast"]
dependency-groups = ["dev"]
created-by = "example"

[[packages]]
name = "a"
version = "1.0"
index = "https://pypi.org/simple"
wheels = [{ url = "https://example.invalid/a-1.0-py3-none-any.whl", hashes = { md5 = "00", sha256 = "01" } }]

[[packages]]
name = "b"
version = "1.0"
marker = "python_version >= '3.9' and ('fast' in extras or 'dev' in dependency_groups)"
"""
    lock = read(text, "pylock.toml")
    assert ("a",) == lock.requirements
    assert {"fast": ("b ; python_version >= '3.9'",)} == lock.extras
    assert {"dev": ("b ; python_version >= '3.9'",)} == lock.groups
    assert {"a": "1.0", "b": "1.0"} == selected(lock)
    assert frozenset({"sha256:01"}) == lock.packages[0].hashes


def test_requirements() -> None:
    """Pinned versions are not requirements, and the hashes of a line are those of its package; indexes are not used."""
    text = """--index-url https://other.example.invalid/simple
-e .
a[x]==1.0 ; python_version >= '3.9' \\
    --hash=sha256:01 \\
    --hash=sha256:02
    # via b
a[x]==0.9 ; python_version < '3.9'
b>=2
"""
    lock = read(text, "requirements.txt")
    assert ("a[x] ; (python_version >= '3.9') or (python_version < '3.9')", "b>=2") == lock.requirements
    assert frozenset({"sha256:01", "sha256:02"}) == lock.packages[0].hashes
    assert "1.0" == selected(lock)["a"]


def test_several_overrides_of_a_package() -> None:
    """uv combines the overrides of a package; so does the one that is locked."""
    rows = '{ name = "a", specifier = ">=1" }, { name = "a", specifier = "<3" }, { name = "b", specifier = "*" }'
    lock = read(f"version = 1\n[manifest]\noverrides = [{rows}]\n", "uv.lock")
    assert ("a>=1,<3", "b") == lock.overrides


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("uv.lock", "version = 2\n", "uv.lock 2; this minglibc reads version 1"),
        ("uv.lock", "", "without a version"),
        ("uv.lock", "version = true\n", "uv.lock True"),
        ("poetry.lock", '[metadata]\nlock-version = "3.0"\n', "this minglibc reads version 1.0, 1.1, 2.0, 2.1"),
        ("pdm.lock", '[metadata]\nlock_version = "5.0"\n', "reads version 4.x"),
        ("Pipfile.lock", '{"_meta": {"pipfile-spec": 7}}', "reads version 6"),
        ("pylock.toml", 'lock-version = "2.0"\n', "reads version 1.x"),
        ("Cargo.lock", "", "not a lock of a known format"),
        (
            "uv.lock",
            "version = 1\n[[package]]\nname = 1\n[package.source]\nvirtual = '.'\n",
            "name is not a valid string",
        ),
        ("uv.lock", "version = 1\n[[package]]\nname = 'a'\nsource = { ftp = '.' }\n", "of an unknown kind: ftp"),
        ("uv.lock", "version = 1\nversion = 1\n", "not valid TOML"),
        ("uv.lock", "version = 1\n<<<<<<< HEAD\nrevision = 2\n=======\n", "uv.lock has merge-conflict markers"),
        ("Pipfile.lock", "<<<<<<< HEAD\n{}\n", "Pipfile.lock has merge-conflict markers"),
        ("Pipfile.lock", "[" * 100_000, "not valid JSON"),
        ("requirements.txt", "a==1 --hash=sha256:xyz\n", "expected an algorithm and its hexadecimal digest"),
    ],
)
def test_refused(name: str, text: str, message: str) -> None:
    """An unknown version of a format is refused with those that are known; a damaged lock with what is wrong."""
    with pytest.raises(LockError) as caught:
        read(text, name)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", "version = 1\n[[package]]\nname = 'a'\nsource = { registry = '' }\nsdist = true\n"),
        ("pdm.lock", "[metadata]\nlock_version = '4.5'\n[[package]]\nname = 'a'\nversion = '1'\nfiles = 'b'\n"),
    ],
)
def test_invalid_files(name: str, text: str) -> None:
    """Lists of files are converted late; those that are not valid are an error that names the package."""
    package = read(text, name).packages[0]
    with pytest.raises(LockError, match="the source lock is invalid: a: "):
        len(package.files)


def test_all_invalid_packages_are_listed() -> None:
    """The error names the packages that are not valid, up to ten of them."""
    text = "version = 1\n" + "".join(f"[[package]]\nname = 'p{i}'\nversion = 1\n" for i in range(12))
    with pytest.raises(LockError) as caught:
        read(text, "uv.lock")
    lines = str(caught.value).splitlines()
    assert "  p9: its source is of an unknown kind: none" == lines[10]
    assert "  and 2 more packages" == lines[11]


def test_long_marker() -> None:
    """An invalid marker is quoted only in part."""
    text = json.dumps({"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1", "markers": "b" * 100_000}}})
    with pytest.raises(LockError) as caught:
        read(text, "Pipfile.lock").selected(Environment({"python_full_version": "3.11.0"}))
    assert len(str(caught.value)) < 600


def test_weak_hashes_bind() -> None:
    """A pylock.toml with only weak hashes does not admit every file."""
    text = (
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"\n[[packages.wheels]]\n'
        'name = "a-1-py3-none-any.whl"\nhashes = { sha1 = "0a" }\n'
    )
    assert {"sha1:0a"} == read(text, "pylock.toml").packages[0].hashes


def test_newer_revision_is_read() -> None:
    """Only the version of uv.lock decides; unknown keys are ignored."""
    assert 6 == len(read(UV.replace("revision = 9", "revision = 99\nsomething = [1]"), "uv.lock").packages)


def test_marker_that_nests_too_deeply() -> None:
    """A hostile marker is an error, not a crash."""
    marker = "(" * 1500 + "extra == 'x'" + ")" * 1500
    text = f'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"\nmarker = "{marker}"\n'
    with pytest.raises(LockError, match="nests too deeply"):
        read(text, "pylock.toml")
