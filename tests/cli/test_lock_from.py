"""`lock --from`: locks of other tools under a cap."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.commands import Ran, locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.projects import RUNNING, RUNNING_OPTIONS, lock_requirements, locked_package
from tests.support.source_locks import uv_lock
from tests.support.wheels import build_sdist, build_wheel

NEW = "cp39-abi3-manylinux_2_28_x86_64"
OLD = "cp39-abi3-manylinux_2_17_x86_64"


def lock_from(folder: Path, index: IndexServer, *options: str, name: str = "uv.lock") -> Ran:
    """Run `lock --from`."""
    return minglibc("lock", "--from", str(folder / name), "--index-url", index.url, *RUNNING_OPTIONS, *options)


@pytest.fixture
def source(tmp_path: Path, index: IndexServer) -> Path:
    """A folder with a uv.lock, of whose releases only `b` and `c` have wheels within the cap."""
    index.max_age = 0
    new, b, c = build_wheel("a", "2.1", NEW, requires=["c"]), build_wheel("b", "1.0"), build_wheel("c", "1.0", OLD)
    for wheel in (
        *(new, b, c, build_wheel("c", "1.0", NEW), build_wheel("b", "1.1"), build_wheel("c", "3.0")),
        *(build_wheel("a", "1.9", requires=["c"]), build_wheel("a", "2.0", OLD, requires=["c", "d"])),
        *(build_wheel("a", "3.0", OLD, requires=["c"]), build_wheel("d", "1.0")),
    ):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a>1", "b"], [new, b, c, build_wheel("c", "1.0", NEW)]))
    return tmp_path


def test_nearest(source: Path, index: IndexServer) -> None:
    """Only what has no wheel within the cap changes, to the closest version; the summary has the reasons."""
    ran = lock_from(source, index)
    assert 0 == ran.code, ran.err
    assert {"a": "2.0", "b": "1.0", "c": "1.0", "d": "1.0"} == locked_versions(source)
    assert "changed from the source lock: a 2.1 → 2.0 (2.1 needs glibc 2.28)" in ran.err
    assert "new, not in the source lock: d 1.0 (required by a 2.0)" in ran.err
    text = (source / "pylock.toml").read_text()
    assert "`minglibc lock --from uv.lock` brings it up to date" in text
    assert "is up to date" in lock_from(source, index).err


def test_newest(source: Path, index: IndexServer) -> None:
    """What the cap excludes is replaced by the newest version."""
    ran = lock_from(source, index, "--version-policy", "newest")
    assert 0 == ran.code, ran.err
    assert {"a": "3.0", "b": "1.0", "c": "1.0"} == locked_versions(source)
    assert "--version-policy newest" in (source / "pylock.toml").read_text().split("\n")[0]


@pytest.mark.parametrize("policy", ["same", "nearest", "newest"])
def test_yanked(tmp_path: Path, index: IndexServer, policy: str) -> None:
    """A release that was yanked after the source lock was made is kept."""
    wheel = build_wheel("a", "1.1")
    index.add(wheel, yanked="a mistake")
    index.add(build_wheel("a", "1.0"))
    (tmp_path / "uv.lock").write_text(uv_lock(["a"], [wheel]))
    ran = lock_from(tmp_path, index, "--version-policy", policy)
    assert 0 == ran.code, ran.err
    assert {"a": "1.1"} == locked_versions(tmp_path)


def test_same(source: Path, index: IndexServer) -> None:
    """Every release that can't be used is listed, with its wheel and the cap that allows it, and nothing is written."""
    e = build_wheel("e", "1.0", "cp39-abi3-manylinux_2_34_x86_64")
    index.add(e)
    a, b, c = build_wheel("a", "2.1", NEW, requires=["c"]), build_wheel("b", "1.0"), build_wheel("c", "1.0", OLD)
    (source / "uv.lock").write_text(uv_lock(["a", "b", "e"], [a, b, c, e]))
    ran = lock_from(source, index, "--version-policy", "same")
    assert 1 == ran.code
    assert "2 releases of uv.lock can't be used under the cap" in ran.err
    assert f"a 2.1 on CPython {RUNNING} on x86_64 with glibc 2.17: needs glibc 2.28 ({a.filename}); cap 2.28" in ran.err
    assert f"needs glibc 2.34 ({e.filename}); cap 2.34 allows it" in ran.err
    assert not (source / "pylock.toml").exists()
    assert 0 == minglibc("lock", "--from", str(source / "uv.lock"), "--index-url", index.url, "--glibc", "2.34",
                         "--python", RUNNING, "--version-policy", "same").code  # fmt: skip
    assert {"a": "2.1", "b": "1.0", "c": "1.0", "e": "1.0"} == locked_versions(source)


def test_policies_agree_where_nothing_has_to_change(source: Path, index: IndexServer) -> None:
    """With a cap that allows all versions, each policy keeps them."""
    for policy in ("same", "nearest", "newest"):
        options = ("--glibc", "2.28", "--version-policy", policy)
        assert 0 == lock_from(source, index, *options, "-o", str(source / f"pylock.{policy}.toml")).code
    texts = [
        (source / f"pylock.{policy}.toml").read_text().split("[tool.minglibc]")[0] for policy in ("same", "newest")
    ]
    assert texts[0].split("\n", 2)[2] == texts[1].split("\n", 2)[2]


def test_fewest_changes(tmp_path: Path, index: IndexServer) -> None:
    """Where a version has to change, as few of the others as possible change with it."""
    wheels = [build_wheel("a", "2.0", NEW), *(build_wheel(name, "2.0", requires=["a>=1"]) for name in ("b", "c", "d"))]
    for wheel in wheels:
        index.add(wheel)
    # The closest version of a excludes b, c and d; an older one needs no change of them.
    index.add(build_wheel("a", "1.9", requires=["b<2", "c<2", "d<2"]))
    index.add(build_wheel("a", "1.5"))
    for name in ("b", "c", "d"):
        index.add(build_wheel(name, "1.0"))
    (tmp_path / "uv.lock").write_text(uv_lock(["a", "b", "c", "d"], wheels))
    ran = lock_from(tmp_path, index)
    assert 0 == ran.code, ran.err
    assert {"a": "1.5", "b": "2.0", "c": "2.0", "d": "2.0"} == locked_versions(tmp_path)


def test_other_major_release(tmp_path: Path, index: IndexServer) -> None:
    """A package stays in its major release where it can, although an older one would keep more versions."""
    locked = [build_wheel("a", "3.1", NEW), build_wheel("b", "1.0")]
    for wheel in (*locked, build_wheel("a", "3.2", requires=["b>1"]), build_wheel("a", "0.9"), build_wheel("b", "1.1")):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a", "b"], locked))
    ran = lock_from(tmp_path, index)
    assert 0 == ran.code, ran.err
    assert {"a": "3.2", "b": "1.1"} == locked_versions(tmp_path)


def test_major_release_of_what_requires_a_changed_package(tmp_path: Path, index: IndexServer) -> None:
    """A package that pins another, which has to change, stays in its major release as well."""
    locked = [build_wheel("front", "2.1", requires=["core==2.1"]), build_wheel("core", "2.1", NEW)]
    others = [
        build_wheel("front", "2.2", requires=["core==2.2"]),
        build_wheel("core", "2.2"),
        build_wheel("front", "1"),
    ]
    for wheel in (*locked, *others):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["front"], locked))
    ran = lock_from(tmp_path, index)
    assert 0 == ran.code, ran.err
    assert {"front": "2.2", "core": "2.2"} == locked_versions(tmp_path)


def test_overrides_under_the_cap(tmp_path: Path, index: IndexServer) -> None:
    """Where the project requires a version above the cap, the message has the overrides that work."""
    locked = [build_wheel("a", "2.1", NEW), build_wheel("b", "2.0", NEW, requires=["a>=1"]), build_wheel("c", "1.0")]
    for wheel in (*locked, build_wheel("a", "1.5", OLD), build_wheel("a", "0.5", OLD), build_wheel("b", "1.9")):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a>2", "b>1.9", "c>0.1"], locked))
    ran = lock_from(tmp_path, index)
    assert 1 == ran.code
    hint = 'tool.minglibc.overrides = ["a>=1.5", "b>=1.9"]'
    assert f"this would work (verified), in place of what the project requires: {hint}" in ran.err
    (tmp_path / "pyproject.toml").write_text(f"[tool.minglibc]\n{hint.removeprefix('tool.minglibc.')}\n")
    assert 0 == lock_from(tmp_path, index).code
    assert {"a": "1.5", "b": "1.9", "c": "1.0"} == locked_versions(tmp_path)


def test_default_pythons(tmp_path: Path, index: IndexServer) -> None:
    """Pythons that no setting names and that the source lock has no wheels for are skipped, with the reason."""
    wheels = [build_wheel("a", "1.0", "cp310-abi3-manylinux_2_17_x86_64"), build_wheel("b", "1.0")]
    for wheel in wheels:
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a", "b"], wheels))
    command = ("lock", "--from", str(tmp_path / "uv.lock"), "--index-url", index.url, "--glibc", "2.17")
    ran = minglibc(*command)
    assert 0 == ran.code, ran.err
    assert "warning: not locked for CPython 3.9, which no setting names:" in ran.err
    assert "a 1.0 is built for cp310-abi3" in ran.err
    pythons = {target.python.minor for target in read_lock(tmp_path).targets}
    assert 9 not in pythons
    assert 10 in pythons
    assert 0 == minglibc(*command, "--check").code
    assert "no set of wheels meets the requirements on CPython 3.9" in minglibc(*command, "--python", "3.9").err


def test_default_pythons_whose_files_are_not_listed(tmp_path: Path, index: IndexServer) -> None:
    """Pythons whose wheels were uploaded after the source lock was made are skipped if no setting names them."""
    listed = build_wheel("a", "1.0", "cp310-cp310-manylinux_2_17_x86_64")
    for wheel in (listed, build_wheel("a", "1.0", "cp311-cp311-manylinux_2_17_x86_64"), build_wheel("a", "1.1")):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a"], [listed]))
    command = ("lock", "--from", str(tmp_path / "uv.lock"), "--index-url", index.url, "--glibc", "2.17")
    ran = minglibc(*command)
    assert 0 == ran.code, ran.err
    assert "not locked for CPython 3.11" in ran.err
    assert "a 1.0 has the file a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl, whose hash is not listed" in ran.err
    pythons = {target.python.minor for target in read_lock(tmp_path).targets}
    assert {9, 10, 12} <= pythons
    assert 11 not in pythons
    assert "does not list the hashes" in minglibc(*command, "--python", "3.11").err


def test_packages_without_wheels(tmp_path: Path, index: IndexServer) -> None:
    """All packages that have to be built are named at once, with one setting for them."""
    wheel, sdists = build_wheel("c", "1.0"), [build_sdist("a", "1.0"), build_sdist("b", "1.0")]
    index.add(wheel)
    # The other release of b has a wheel, but is not compatible with the lock.
    index.add(build_wheel("b", "2.0", requires=["c>1"]))
    for name in ("a", "b"):
        index.add_sdist(name, "1.0")
    (tmp_path / "uv.lock").write_text(uv_lock(["a", "b", "c"], [wheel, *sdists]))
    ran = lock_from(tmp_path, index)
    assert 1 == ran.code
    assert "a 1.0 has no wheel" in ran.err
    assert "b 1.0 has no wheel" in ran.err
    assert 'tool.minglibc.allow-sdist = ["a", "b"] would work' in ran.err


def test_packages_of_other_indexes(tmp_path: Path, index: IndexServer) -> None:
    """All packages that only an index of the source lock has are named at once, without contacting it."""
    wheels = [build_wheel("a", "1.0"), build_wheel("b", "1.0")]
    with IndexServer() as other:
        (tmp_path / "uv.lock").write_text(uv_lock(["a", "b"], wheels, other.url))
        ran = lock_from(tmp_path, index)
        assert 1 == ran.code
        assert "no configured index has these packages of uv.lock:" in ran.err
        assert f"a 1.0 comes from {other.url}" in ran.err
        assert f"b 1.0 comes from {other.url}" in ran.err
        assert not other.requests
        # The lines of the hint are all that is needed.
        hint = ran.err[ran.err.index("[[tool.minglibc.index]]") : ran.err.index("hint: tool.minglibc.excludes")]
        for wheel in wheels:
            other.add(wheel)
        (tmp_path / "pyproject.toml").write_text(hint)
        assert 0 == lock_from(tmp_path, index).code
        # uv's own tables are read as well.
        (tmp_path / "pyproject.toml").write_text(
            hint.replace("tool.minglibc.index", "tool.uv.index").replace("minglibc.sources", "uv.sources")
        )
        assert "is up to date" not in lock_from(tmp_path, index).err
        assert {"a": "1.0", "b": "1.0"} == locked_versions(tmp_path)


def test_unlisted_hash(source: Path, index: IndexServer) -> None:
    """A file with another hash than those of the source lock is refused, unless such files are accepted."""
    c = build_wheel("c", "1.0", NEW)
    (source / "uv.lock").write_text(uv_lock(["b", "c"], [build_wheel("b", "1.0", padding=1), c]))
    ran = lock_from(source, index)
    assert 1 == ran.code
    assert "b 1.0 has the file b-1.0-py3-none-any.whl, whose hash is not listed" in ran.err
    assert f"c 1.0 has the file c-1.0-{OLD}.whl, whose hash is not listed" in ran.err
    assert not (source / "pylock.toml").exists()
    ran = lock_from(source, index, "--accept-new-hashes")
    assert 0 == ran.code, ran.err
    assert {"b": "1.0", "c": "1.0"} == locked_versions(source)
    assert "accepted a hash that is not listed: b-1.0-py3-none-any.whl" in ran.err


def test_other_spelling_of_a_version(tmp_path: Path, index: IndexServer) -> None:
    """A source lock may write 5 for 5.0.0, as pex does: the release is the same, with its hashes."""
    wheel = build_wheel("a", "5.0.0")
    index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a"], [wheel]).replace('version = "5.0.0"', 'version = "5"'))
    ran = lock_from(tmp_path, index)
    assert 0 == ran.code, ran.err
    assert "changed from the source lock" not in ran.err
    other = uv_lock(["a"], [build_wheel("a", "5.0.0", padding=1)])
    (tmp_path / "uv.lock").write_text(other.replace('version = "5.0.0"', 'version = "5"'))
    assert "whose hash is not listed" in lock_from(tmp_path, index).err


def test_listed_file_is_preferred(tmp_path: Path, index: IndexServer) -> None:
    """A better file that was uploaded after the source lock was made is not used."""
    old = build_wheel("a", "1.0", "py3-none-any")
    for wheel in (old, build_wheel("a", "1.0", OLD)):
        index.add(wheel)
    (tmp_path / "uv.lock").write_text(uv_lock(["a"], [old]))
    assert 0 == lock_from(tmp_path, index, "--accept-new-hashes").code
    assert [old.filename] == [wheel["name"] for wheel in locked_package(tmp_path, "a")["wheels"]]


def test_index_of_the_source_lock_is_not_contacted(tmp_path: Path, index: IndexServer) -> None:
    """A package of an index that is not configured is locked only as the source lock lists it."""
    index.max_age = 0
    wheel = build_wheel("a", "1.0")
    with IndexServer() as other:
        other.add(wheel)
        (tmp_path / "uv.lock").write_text(uv_lock(["a"], [wheel], other.url))
        index.add(build_wheel("a", "1.1"))
        ran = lock_from(tmp_path, index)
        assert 1 == ran.code
        assert f"a 1.1 would replace a 1.0; uv.lock takes it from {other.url}, which is not configured" in " ".join(
            ran.err.split()
        )
        index.add(wheel)
        assert 0 == lock_from(tmp_path, index).code
        assert {"a": "1.0"} == locked_versions(tmp_path)
        assert not other.requests
        settings = f'[tool.minglibc]\n[[tool.minglibc.index]]\nname = "o"\nurl = "{other.url}"\nexplicit = true\n'
        (tmp_path / "pyproject.toml").write_text(settings + '[tool.minglibc.sources]\na = { index = "o" }\n')
        assert 0 == lock_from(tmp_path, index).code
        assert other.requests


def test_changed_source(source: Path, index: IndexServer) -> None:
    """`lock --check` and `sync` notice that the source lock has changed, and `lock` follows it."""
    assert 0 == lock_from(source, index).code
    path = source / "uv.lock"
    text = path.read_text()
    path.write_text(text, newline="\r\n")
    assert 0 == lock_from(source, index, "--check").code
    path.write_text(text.replace('version = "1.0"', 'version = "1.1"', 1).replace("b-1.0", "b-1.1"))
    stale = lock_from(source, index, "--check")
    assert 1 == stale.code
    assert "uv.lock has changed" in stale.err
    assert "minglibc lock --from uv.lock" in stale.err
    refused = minglibc("sync", "--lock", str(source / "pylock.toml"))
    assert "pylock.toml is stale: uv.lock has changed" in refused.err


def test_setting(source: Path, index: IndexServer) -> None:
    """With `from` in the settings, `lock` and `lock --check` follow the source lock."""
    (source / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "1"\ndependencies = ["a"]\n[tool.minglibc]\nglibc = "2.17"\n'
        f'python = ["{RUNNING}"]\nindex-url = "{index.url}"\nfrom = {{ file = "uv.lock", policy = "newest" }}\n'
    )
    project = ("--project", str(source))
    ran = minglibc("lock", *project)
    assert 0 == ran.code, ran.err
    assert {"a": "3.0", "b": "1.0", "c": "1.0"} == locked_versions(source)
    assert 0 == minglibc("lock", "--check", *project).code
    assert 0 == minglibc("lock", *project, "--version-policy", "nearest", "-U").code
    assert "2.0" == locked_versions(source)["a"]
    with (source / "uv.lock").open("a") as file:
        file.write("# changed\n")
    stale = minglibc("lock", "--check", *project)
    assert 1 == stale.code
    assert "uv.lock has changed" in stale.err


def test_source_lock_that_is_missing(source: Path, index: IndexServer) -> None:
    """`sync` reports a source lock that was removed, and works with --frozen."""
    (source / "pyproject.toml").write_text(
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\nindex-url = "{index.url}"\nfrom = "uv.lock"\n'
    )
    assert 0 == minglibc("lock", "--project", str(source)).code
    (source / "uv.lock").unlink()
    assert "pylock.toml is stale: uv.lock is missing" in minglibc("sync", "--project", str(source), "--dry-run").err
    assert 0 == minglibc("sync", "--project", str(source), "--dry-run", "--frozen").code


def test_setting_in_a_workspace(source: Path, index: IndexServer) -> None:
    """The source lock has the requirements of the members, whose own files do not make the lock stale."""
    (source / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "1"\n[tool.uv.workspace]\nmembers = ["lib"]\n[tool.minglibc]\n'
        f'glibc = "2.17"\npython = ["{RUNNING}"]\nindex-url = "{index.url}"\nfrom = "uv.lock"\n'
    )
    (source / "lib").mkdir()
    (source / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    for folder in (source, source / "lib"):
        assert 0 == minglibc("lock", "--project", str(folder)).code
        assert 0 == minglibc("lock", "--check", "--project", str(folder)).code


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"../uv.lock"', "is not in the folder of the project"),
        ('{ file = "uv.lock", policy = "newset" }', 'expected one of "nearest", "same", "newest"'),
        ('{ policy = "same" }', "expected a path"),
        ("3", "expected the path of a lock"),
        ('{ file = "uv.lock", polizy = "same" }', "did you mean policy?"),
        ('"poetry.lock"', "there is no poetry.lock"),
    ],
)
def test_invalid_setting(source: Path, value: str, message: str) -> None:
    """A mistake in the setting is an error that says what is expected."""
    text = (
        f'[project]\nname = "app"\nversion = "1"\n[tool.minglibc]\nglibc = "2.17"\npython = ["3.12"]\nfrom = {value}\n'
    )
    (source / "pyproject.toml").write_text(text)
    ran = minglibc("lock", "--project", str(source))
    assert ran.code
    assert message in ran.err


@pytest.fixture
def parts(tmp_path: Path, index: IndexServer) -> Path:
    """A uv.lock with an extra and two groups; the package of one group has no wheel within the cap."""
    wheels = [build_wheel("a", "1.0"), build_wheel("x", "1.0"), build_wheel("t", "1.0"), build_wheel("d", "1.0", NEW)]
    for wheel in wheels:
        index.add(wheel)
    text = uv_lock(["a"], wheels).replace(
        "[package.metadata]\n",
        '[package.optional-dependencies]\nspeed = [{ name = "x" }]\n[package.dev-dependencies]\n'
        'test = [{ name = "t" }]\ndocs = [{ name = "d" }]\n[package.metadata]\nprovides-extras = ["speed"]\n',
    )
    text = text.replace(
        'requires-dist = [\n    { name = "a", specifier = "" },\n]',
        'requires-dist = [{ name = "a" }, { name = "x", marker = "extra == \'speed\'" }]\n'
        '[package.metadata.requires-dev]\ntest = [{ name = "t" }]\ndocs = [{ name = "d" }]\n',
    )
    (tmp_path / "uv.lock").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--no-group", "docs"], {"a", "x", "t"}),
        (["--group", "test", "--no-extra", "Speed"], {"a", "t"}),
        (["--extra", "speed", "--no-group", "docs", "--no-group", "test"], {"a", "x"}),
    ],
)
@pytest.mark.parametrize("policy", ["nearest", "same"])
def test_parts(parts: Path, index: IndexServer, options: list[str], names: set[str], policy: str) -> None:
    """Only the selected extras and groups are locked; the lock records which."""
    ran = lock_from(parts, index, *options, "--version-policy", policy)
    assert 0 == ran.code, ran.err
    assert names == set(locked_versions(parts))
    assert 0 == lock_from(parts, index, "--check").code
    assert "d 1.0" in lock_from(parts, index, "--version-policy", "same", "--group", "docs").err


def test_unknown_parts(parts: Path, index: IndexServer) -> None:
    """Unknown extras and groups are all named; without a source lock the options are an error."""
    ran = lock_from(parts, index, "--extra", "spead", "--no-group", "doc")
    assert 1 == ran.code
    assert "the extra spead; it has speed" in ran.err
    assert "the group doc; it has docs, test" in ran.err
    assert "require --from" in minglibc("lock", "--project", str(parts), "--group", "docs").err


def test_parts_without_which_it_works(parts: Path, index: IndexServer) -> None:
    """If a package of an extra or group can't be locked, the hint has the option or setting that leaves it out."""
    error = lock_from(parts, index).err
    assert "hint: this would work (verified): --no-group docs\n" in error
    assert "no-groups" not in error
    text = f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\nindex-url = "{index.url}"\n'
    (parts / "pyproject.toml").write_text(text + 'from = "uv.lock"\n')
    ran = minglibc("lock", "--project", str(parts))
    assert 'hint: this would work (verified): groups = ["test"] in tool.minglibc.from\n' in ran.err
    assert "no-groups" not in ran.err


def test_parts_in_the_setting(parts: Path, index: IndexServer) -> None:
    """`extras` and `groups` of the setting select what is locked; default groups that are not locked are ignored."""
    pyproject = parts / "pyproject.toml"
    text = (
        f'[project]\nname = "app"\nversion = "1"\n[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\n'
        f'index-url = "{index.url}"\ndefault-groups = ["test", "docs"]\n'
    )
    pyproject.write_text(text + 'from = { file = "uv.lock", extras = [], groups = ["test"] }\n')
    ran = minglibc("lock", "--project", str(parts))
    assert 0 == ran.code, ran.err
    assert {"a", "t"} == set(locked_versions(parts))
    pyproject.write_text(text + 'from = { file = "uv.lock", extras = "speed" }\n')
    assert "expected a list of names" in minglibc("lock", "--project", str(parts)).err


def test_json(source: Path, index: IndexServer) -> None:
    """The JSON has the changes from the source lock with their reasons."""
    result = json.loads(lock_from(source, index, "--json").out)
    assert {"name": "a", "before": "2.1", "after": "2.0", "reason": "2.1 needs glibc 2.28"} in result["source-changes"]
    assert [] == result["accepted-files"]


def test_other_folder(source: Path, index: IndexServer) -> None:
    """A lock in another folder does not name the source lock, and is still found to be stale."""
    folder = source / "other"
    folder.mkdir()
    output = ("-o", str(folder / "pylock.toml"))
    assert 0 == lock_from(source, index, *output).code
    assert "uv.lock" not in (folder / "pylock.toml").read_text()
    assert 0 == lock_from(source, index, "--check", *output).code
    shutil.copy(source / "uv.lock", source / "uv.old.lock")
    (source / "uv.lock").write_text((source / "uv.lock").read_text() + "\n# changed\n")
    assert 1 == lock_from(source, index, "--check", *output).code


def test_git_packages(source: Path, index: IndexServer) -> None:
    """Packages that are not on an index are all listed."""
    text = (source / "uv.lock").read_text()
    text = text.replace('version = "1.0"\nsource = { registry = "https://pypi.org/simple" }',
                        'version = "1.0"\nsource = { git = "https://user:secret@example.invalid/x" }')  # fmt: skip
    (source / "uv.lock").write_text(text)
    ran = lock_from(source, index)
    assert 1 == ran.code
    assert "b 1.0 comes from a Git repository: https://example.invalid/x" in ran.err
    assert 'b = { path = "vendor/b" }  # git clone https://example.invalid/x vendor/b\n' in ran.err
    assert "secret" not in ran.err


def test_git_packages_of_extras_and_groups(source: Path, index: IndexServer) -> None:
    """The options are named that leave out the packages, and URLs that are part of a command are checked."""
    text = (source / "uv.lock").read_text()
    text = text.replace('version = "1.0"\nsource = { registry = "https://pypi.org/simple" }',
                        'version = "1.0"\nsource = { git = "https://x.invalid/$(rm)#abcdef0" }', 1)  # fmt: skip
    text = text.replace('    { name = "b" },\n]', ']\n[package.dev-dependencies]\ndev = [{ name = "b" }]', 1)
    text = text.replace(
        '    { name = "b", specifier = "" },\n]', ']\n[package.metadata.requires-dev]\ndev = [{ name = "b" }]\n'
    )
    (source / "uv.lock").write_text(text)
    ran = lock_from(source, index)
    assert 1 == ran.code
    assert "hint: --no-group dev leaves it out (verified)" in ran.err
    assert "git clone" not in ran.err
    assert 0 == lock_from(source, index, "--no-group", "dev").code


def test_pythons_of_the_project(tmp_path: Path, index: IndexServer) -> None:
    """A lock that does not say which Pythons it is for is locked for those of the pyproject.toml beside it."""
    wheel = build_wheel("a", "1.0")
    index.add(wheel)
    file = f'{{ file = "{wheel.filename}", hash = "sha256:{wheel.sha256}" }}'
    (tmp_path / "pdm.lock").write_text(
        f'[metadata]\nlock_version = "4.4.1"\n[[package]]\nname = "a"\nversion = "1.0"\nfiles = [{file}]\n'
    )
    (tmp_path / "pyproject.toml").write_text(f'[project]\nrequires-python = "=={RUNNING}.*"\ndependencies = ["a"]\n')
    ran = minglibc("lock", "--from", str(tmp_path / "pdm.lock"), "--index-url", index.url, "--glibc", "2.17")
    assert 0 == ran.code, ran.err
    assert f'python = "{RUNNING}"' in (tmp_path / "pylock.toml").read_text()


def test_options_that_need_a_source(source: Path) -> None:
    """--from can't be combined with -r, and --version-policy requires a source lock."""
    ran = minglibc("lock", "--from", str(source / "uv.lock"), "-r", "requirements.in")
    assert "can't be combined" in ran.err
    (source / "pyproject.toml").write_text(
        '[project]\nname = "p"\n[tool.minglibc]\nglibc = "2.17"\npython = ["3.12"]\n'
    )
    ran = minglibc("lock", "--project", str(source), "--version-policy", "same")
    assert "--version-policy requires a source lock" in ran.err


@pytest.mark.parametrize("name", ["requirements.txt", "pylock.toml"])
def test_other_formats(tmp_path: Path, index: IndexServer, name: str) -> None:
    """The versions of a requirements file, and of the lock of another tool in the standard format."""
    wheels = [build_wheel("a", "1.0", requires=["b"]), build_wheel("b", "1.0")]
    for wheel in (*wheels, build_wheel("a", "2.0"), build_wheel("b", "2.0")):
        index.add(wheel)
    requirements = "".join(f"{w.project}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels)
    packages = "".join(
        f'[[packages]]\nname = "{w.project}"\nversion = "{w.version}"\n'
        f'wheels = [{{ url = "https://x.invalid/{w.filename}", hashes = {{ sha256 = "{w.sha256}" }} }}]\n'
        for w in wheels
    )
    text = requirements if name == "requirements.txt" else f'lock-version = "1.0"\ncreated-by = "x"\n{packages}'
    (tmp_path / name).write_text(text)
    ran = lock_from(tmp_path, index, "-o", str(tmp_path / "pylock.capped.toml"), name=name)
    assert 0 == ran.code, ran.err
    (tmp_path / "pylock.capped.toml").rename(tmp_path / "pylock.toml")
    assert {"a": "1.0", "b": "1.0"} == locked_versions(tmp_path)


def test_hashes_of_requirements_files(tmp_path: Path, index: IndexServer) -> None:
    """With -r, a file is used only if its hash is given, and a changed hash makes the lock stale."""
    wheel = build_wheel("a", "1.0")
    index.add(wheel)
    path = tmp_path / "requirements.in"
    path.write_text(f"a==1.0 --hash=sha256:{'0' * 64}\n")
    ran = lock_requirements(tmp_path, index, *RUNNING_OPTIONS)
    assert 1 == ran.code
    assert "a-1.0-py3-none-any.whl" in ran.err
    assert "hash" in ran.err
    assert not (tmp_path / "pylock.toml").exists()
    path.write_text(f"a==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{wheel.sha256}\n")
    assert 0 == lock_requirements(tmp_path, index, *RUNNING_OPTIONS).code
    assert 1 == len(read_lock(tmp_path).pylock.packages)
    path.write_text(f"a==1.0 --hash=sha256:{wheel.sha256}\n")
    assert 1 == lock_requirements(tmp_path, index, "--check").code
    path.write_text(f"a==1.0 --hash=sha256:{'0' * 64}\n")
    assert 0 == lock_requirements(tmp_path, index, *RUNNING_OPTIONS, "--accept-new-hashes").code


def test_setting_replaces_the_option(source: Path, index: IndexServer) -> None:
    """A lock that `lock --from` made is updated by `lock`, once the setting names the same file."""
    assert lock_from(source, index).code == 0
    settings = f'glibc = "2.17"\npython = "{RUNNING}"\nindex-url = "{index.url}"\n'
    pyproject = source / "pyproject.toml"
    pyproject.write_text(f'[project]\nname = "x"\nversion = "1"\n[tool.minglibc]\n{settings}', encoding="utf-8")
    refused = minglibc("lock", "--project", str(source))
    assert refused.code == 1
    assert "is the lock of uv.lock" in refused.err
    with pyproject.open("a", encoding="utf-8") as file:
        file.write('from = "uv.lock"\n')
    updated = minglibc("lock", "--project", str(source))
    assert updated.code == 0, updated.err
    assert minglibc("lock", "--check", "--project", str(source)).code == 0
