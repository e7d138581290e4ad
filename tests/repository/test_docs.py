"""The documentation is correct: its console examples are run, and their output is compared."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from minglibc.app import capped_builds
from minglibc.build.toolchain import Zig
from minglibc.cache import maintenance
from minglibc.cache.built_wheels import ZIG
from minglibc.cli import COMMANDS, main
from minglibc.cli.args import ArgumentParser, add_common
from minglibc.config import inputs, parser, settings
from minglibc.model.urls import DEFAULT_INDEX_URL
from tests.support import child, oldglibc
from tests.support.commands import install_program
from tests.support.elves import elf
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import BuiltWheel, build_wheel

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
REASONS = {
    "needs the public index",
    "needs an old machine",
    "needs another machine",
    "needs root",
    "needs nfpm",
    "installs system packages",
}
# The number of console blocks that are not run, by document and reason.
NOT_RUN = {
    ("docs/tutorial.md", "needs an old machine"): 2,
    ("docs/how-to/air-gapped.md", "needs an old machine"): 1,
    ("docs/how-to/air-gapped.md", "needs nfpm"): 1,
    ("docs/how-to/alpine.md", "needs another machine"): 1,
    ("docs/how-to/measure-machines.md", "needs another machine"): 1,
    ("docs/how-to/old-python.md", "needs an old machine"): 2,
    ("docs/how-to/pre-commit.md", "installs system packages"): 1,
    ("docs/how-to/shared-environment.md", "needs an old machine"): 1,
}
# The Python versions that the stand-in packages support. Documents that sync are skipped if the machine has none of them.
SYNC_VERSIONS = ("3.9", "3.11")

# Sections of docs/reference/commands.md with options that several commands accept.
SHARED_OPTIONS = ("Target options", "Index options", "Selection options", "Environment options", "Inspection options")

_BLOCK = re.compile(
    r"(?P<comments>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>[a-z]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!-- (?P<key>[a-z ]+?)(?:: (?P<value>.*?))? -->")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Durations and numbers of files, which documents show as they are with the real packages.
_COUNT = re.compile(r"[0-9]+\\\.[0-9]+(?=s$)|[0-9]+(?=\\ (?:binaries|files)\b)")


class Block(NamedTuple):
    """A fenced block: its language, its text and the comments right before it."""

    language: str
    body: str
    marks: dict[str, str]


def name_of(path: Path) -> str:
    """A document's path, relative to the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    parsed = []
    for match in _BLOCK.finditer(path.read_text(encoding="utf-8")):
        marks = {m["key"]: m["value"] or "" for m in _COMMENT.finditer(match["comments"])}
        parsed.append(Block(match["language"], match["body"], marks))
    return parsed


# Small stand-ins for the packages of the documents, with their real names, versions, tags and requirements.


def _compiled(name: str, version: str, tag: str, glibc: str, **options: object) -> BuiltWheel:
    module = name.replace("-", "_")
    files = {
        f"{module}/__init__.py": f'__version__ = "{version}"\n',
        **{f"{module}/_{part}.abi3.so": elf(needs={"libc.so.6": [f"GLIBC_{glibc}"]}) for part in (module, "second")},
    }
    return build_wheel(name, version, tag, files=files, **options)  # type: ignore[arg-type]  # passed through


def stand_ins() -> Iterator[BuiltWheel]:
    """Wheels for all projects that the documents lock."""
    old = "manylinux2014_x86_64.manylinux_2_17_x86_64"
    for tag, needs in ((old, "2.17"), ("manylinux_2_28_x86_64", "2.28"), ("manylinux_2_34_x86_64", "2.33")):
        requires = ["cffi>=2.0.0", "typing-extensions>=4.13.2; python_full_version < '3.11'"]
        yield _compiled("cryptography", "50.0.2", f"cp39-abi3-{tag}", needs, requires=requires, requires_python=">=3.9")
        yield _compiled("bcrypt", "5.0.0", f"cp39-abi3-{tag}", needs, requires_python=">=3.8")
    for name, tag, packed in (("cryptography", "cp39-abi3", True), ("cffi", "cp311-cp311", False)):
        version, requires = ("50.0.2", ["cffi>=2.0.0"]) if name == "cryptography" else ("2.1.1", ["pycparser"])
        files = {f"{name}/_{name}.so": elf(needs={}, needed=["libc.musl-x86_64.so.1"], relr=packed)}
        yield build_wheel(name, version, f"{tag}-musllinux_1_2_x86_64", files=files, requires=requires)
    for python in ("cp39", "cp311"):
        requires = ["pycparser"]
        yield _compiled("cffi", "2.0.0", f"{python}-{python}-{old}", "2.14", requires=requires, requires_python=">=3.9")
        yield _compiled("numpy", "2.0.2", f"{python}-{python}-{old}", "2.17", requires_python=">=3.9")
    yield _compiled("cffi", "2.1.1", f"cp311-cp311-{old}", "2.14", requires=["pycparser"], requires_python=">=3.10")
    yield _compiled("numpy", "2.2.6", f"cp311-cp311-{old}", "2.17", requires_python=">=3.10")
    newer = "manylinux_2_27_x86_64.manylinux_2_28_x86_64"
    yield _compiled("numpy", "2.4.6", f"cp311-cp311-{newer}", "2.27", requires_python=">=3.11")
    yield _compiled("pynacl", "1.6.2", f"cp38-abi3-{old}", "2.17", requires=["cffi>=1.4.1"], requires_python=">=3.8")
    needs_all = ["bcrypt>=3.2", "cryptography>=3.3", "invoke>=2.0", "pynacl>=1.5"]
    yield build_wheel("paramiko", "5.1.0", requires=needs_all, requires_python=">=3.9")
    yield build_wheel("invoke", "3.0.3", requires_python=">=3.6")
    yield build_wheel("pycparser", "2.23", requires_python=">=3.8")
    yield build_wheel("pycparser", "3.12", requires_python=">=3.11")
    yield build_wheel("typing-extensions", "4.16.0", requires_python=">=3.9")
    yield build_wheel("pyserial", "3.5", files={"serial/__init__.py": '__version__ = "3.5"\n'})
    for python, abi in (("cp36", "cp36m"), ("cp38", "cp38")):
        yield _compiled("pyyaml", "6.0.1", f"{python}-{abi}-{old}", "2.14", requires_python=">=3.6")
    yield _compiled("pyyaml", "6.0.3", f"cp38-cp38-{old}", "2.14", requires_python=">=3.8")
    yield _compiled("greenlet", "3.2.5", f"cp311-cp311-{old}", "2.17")
    for version, oldest in (("21.3.1", "3.6"), ("25.0.1", "3.8"), ("26.0.1", "3.9"), ("26.3", "3.10")):
        yield build_wheel("pip", version, requires_python=f">={oldest}")


@pytest.fixture(scope="module")
def built() -> list[BuiltWheel]:
    """The stand-ins, built once."""
    return list(stand_ins())


@pytest.fixture
def session(index: IndexServer, built: list[BuiltWheel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Session":
    """A folder in which a document's commands are run."""
    for wheel in built:
        index.add(wheel)
    index.add(build_source("docopt", "0.6.2"))
    # The stand-ins need no compiler and no libraries.
    for name, version, needs in (
        ("greenlet", "3.3.2", "2.17"),
        ("msgpack", "1.1.2", "2.14"),
        ("psycopg2", "2.9.13", "2.34"),
    ):
        index.add(build_source(name, version, needs=needs))
    monkeypatch.setattr(capped_builds, "find_zig", lambda: Zig("/nonexistent/zig", "0"))
    monkeypatch.setattr(capped_builds, "provide_libraries", lambda *_: {})
    programs = tmp_path / "programs"
    install_program(programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MINGLIBC_INDEX_URL", index.url)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Session(folder)


class Session:
    """Runs the commands of a document in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def follow(self, block: Block) -> None:
        """Run each line that starts with ``$ ``, and find the lines after it in its output, in order."""
        steps = re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]
        for position, step in enumerate(steps):
            command, _, expected = step.partition("\n")
            last = position == len(steps) - 1
            code, output = self.run(command)
            assert int(block.marks.get("exit", 0)) * last == code, f"$ {command}\n{output}"
            _find(expected, output, command)

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; minglibc runs in this process, which is faster."""
        words = shlex.split(command)
        is_shell = words[0] != "minglibc" or set(command) & set("|><;&$")
        if not is_shell and words[1] == "run":  # which replaces its process
            ran = child.run(*words[1:], cwd=self.folder)
            return ran.returncode, ran.stdout + ran.stderr
        if is_shell:
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=self.folder, check=False)
            return done.returncode, done.stdout + done.stderr
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                code = main(words[1:])
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else 1
        return code, output.getvalue()


def _find(expected: str, output: str, command: str) -> None:
    remaining = iter(output.splitlines())
    for line in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(_COUNT.sub(r"[0-9.]+", re.escape(part)) for part in line.strip().split("…")))
        assert any(pattern.fullmatch(printed.strip()) for printed in remaining), (
            f"$ {command}\nno {line!r} (in order) in:\n{output}"
        )


BUILDS = ROOT / "docs" / "how-to" / "build-under-the-cap.md"
# Its test needs machines: tests/fleet/test_fleet_guide.py.
FLEET = ROOT / "docs" / "how-to" / "fleet.md"
FOLLOWED = [path for path in DOCUMENTS if path != FLEET and any(block.language == "console" for block in blocks(path))]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path == BUILDS else [], id=name_of(path)) for path in FOLLOWED],
)
def test_console_examples(path: Path, session: Session) -> None:
    """The commands of a document's console blocks print what the document shows."""
    followed = blocks(path)
    used = r"minglibc (sync|run)|^Building .* CPython 3\.11"
    if any(re.search(used, block.body, re.MULTILINE) for block in followed if block.language == "console"):
        _need_python(path.read_text(encoding="utf-8"))
    follow(followed, session)


def follow(followed: Sequence[Block], session: Session) -> None:
    """Write the files and run the commands of a document, in its order."""
    for block in followed:
        if "file" in block.marks:
            file = session.folder / block.marks["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        elif block.language == "console" and "not run" not in block.marks:
            session.follow(block)


def _need_python(text: str) -> None:
    """Skip the test if this machine has no interpreter for a Python version that the document locks for."""
    versions = [version for version in SYNC_VERSIONS if f'"{version}"' in text]
    for version in versions:
        interpreter = shutil.which(f"python{version}")
        if interpreter and not subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode:
            return
    pytest.skip(f"no Python {' or '.join(versions)} on this machine")


def test_console_blocks_that_are_not_run() -> None:
    """Blocks that are not run are listed, with one of a few reasons."""
    skipped: dict[tuple[str, str], int] = {}
    for path in DOCUMENTS:
        for block in blocks(path):
            if block.language == "console" and "not run" in block.marks:
                key = (name_of(path), block.marks["not run"])
                skipped[key] = skipped.get(key, 0) + 1
    assert skipped == NOT_RUN
    assert set() == {reason for _, reason in skipped} - REASONS


@pytest.mark.online
@pytest.mark.slow
def test_examples_with_the_public_index(tmp_path: Path) -> None:
    """README's set-up command and the blocks that need the public index work in a copy of the repository."""
    copy = tmp_path / "clone"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=ignored)
    lines = [block.body for block in blocks(ROOT / "README.md") if "lock" in block.marks]
    for path in DOCUMENTS:
        lines += commands(path, "needs the public index")
    for line in lines:
        run_in_shell(line, copy)


@pytest.mark.online
@pytest.mark.slow
def test_builds_with_zig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide builds its wheels under the cap, with the commands that it shows."""
    pytest.importorskip("ziglang")
    pytest.importorskip("auditwheel")
    if not list(Path("/usr/lib").glob("**/libpq.so")):
        pytest.skip("needs the development package of libpq")
    # zig builds its libc++ for several minutes.
    zig = oldglibc.CACHE / ZIG
    zig.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / ZIG).symlink_to(zig)
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    follow(blocks(BUILDS), Session(tmp_path))
    wheels = {wheel.name.partition("-")[0] for wheel in (tmp_path / "wheels").glob("*-1minglibc-*.whl")}
    assert {"greenlet", "msgpack", "psycopg2"} == wheels


def commands(path: Path, reason: str) -> list[str]:
    """The commands of each console block of a document that is not run for this reason."""
    return [
        "\n".join(line[2:] for line in block.body.splitlines() if line.startswith("$ "))
        for block in blocks(path)
        if block.marks.get("not run") == reason
    ]


def run_in_shell(line: str, folder: Path) -> None:
    """Run a command in this folder; it must succeed."""
    done = subprocess.run(["sh", "-ec", line], cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"{line}\n{done.stdout}{done.stderr}"


def test_readme_commands() -> None:
    """README has two set-up commands of one line each; their comments identify them for CI."""
    sections = blocks(ROOT / "README.md")
    for mark in ("lock", "tests"):
        (line,) = [block.body for block in sections if mark in block.marks]
        assert 1 == line.count("\n")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links(path: Path) -> None:
    """The targets of links to files and headings exist."""
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        destination = (path.parent / target).resolve() if target else path
        assert destination.exists(), f"{name_of(path)}: {match['target']}"
        if anchor:
            assert anchor in _anchors(destination), f"{name_of(path)}: {match['target']}"


def _anchors(path: Path) -> set[str]:
    headings = _HEADING.findall(_BLOCK.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_documents_have_no_local_details(path: Path) -> None:
    """Documents contain no traceback, no local path and not the public index's host."""
    text = path.read_text(encoding="utf-8")
    leaked = [word for word in ("Traceback (", str(ROOT), "/root/", urlsplit(DEFAULT_INDEX_URL).netloc) if word in text]
    assert [] == leaked


def test_all_documents_are_linked() -> None:
    """docs/README.md links to all documents."""
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / match["target"].partition("#")[0]).resolve()
        for match in _LINK.finditer(index.read_text(encoding="utf-8"))
    }
    assert set() == {name_of(path) for path in (ROOT / "docs").rglob("*.md") if path not in {index, *linked}}


def test_architecture_lists_all_packages() -> None:
    """docs/architecture.md lists the packages of src/minglibc."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "src" / "minglibc").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^\| `(\w+)/`", text, re.MULTILINE))


def test_all_settings_are_documented() -> None:
    """The reference has a heading for each key of [tool.minglibc]."""
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert sorted(settings.KEYS) == sorted(re.findall(r"^### `([a-z-]+)`$", text, re.MULTILINE))
    for key in settings.TARGET_KEYS:
        assert f"`{key}`" in text


def test_examples_of_settings_are_valid() -> None:
    """The TOML blocks of the settings reference are valid."""
    for block in blocks(ROOT / "docs" / "reference" / "settings.md"):
        if block.language == "toml":
            tables = tomllib.loads(block.body)
            keys = set(tables["tool"]["minglibc"])
            assert keys <= set(settings.KEYS), block.body
            needed = "" if "project" in tables else '[project]\nname = "x"\nrequires-python = ">=3.9"\n'
            glibc = "" if keys & {"glibc", "musl", "target"} else 'glibc = "2.28"\n'
            table = "[tool.minglibc]\n"
            text = block.body.replace(table, table + glibc, 1) if table in block.body else f"{table}{glibc}{block.body}"
            parser.parse(needed + text)


def _parser(command: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"minglibc {command}")
    import_module(f"minglibc.cli.{command}").configure(parser)
    add_common(parser)
    return parser


def _section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _option_rows(text: str, heading: str) -> list[str]:
    """The first cells of the option tables of a section and of the shared sections that it links."""
    section = _section(text, heading)
    shared = [name for name in SHARED_OPTIONS if f"(#{name.lower().replace(' ', '-')})" in section]
    parts = [section, *(_section(text, name) for name in shared)]
    return [row for part in parts for row in re.findall(r"^\| (`-.*?) \|", part, re.MULTILINE)]


def _options(parser: ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}


def _rows(parser: ArgumentParser, flags: set[str]) -> str:
    """Table rows for these options."""
    rows = []
    for action in parser._actions:
        if flags & set(action.option_strings):
            value = action.metavar or (f"{{{','.join(action.choices)}}}" if action.choices else "")
            names = ", ".join(f"`{flag}`" for flag in action.option_strings)
            names = names if action.nargs == 0 or not value else f"{names[:-1]} {value}`"
            description, _, variable = (action.help or "").partition(" [MINGLIBC_")
            rows.append(
                f"| {names} | {description[:1].upper()}{description[1:]} | {variable and f'`MINGLIBC_{variable[:-1]}`'} |"
            )
    return "\n".join(rows)


@pytest.mark.parametrize("command", COMMANDS)
def test_all_options_are_documented(command: str) -> None:
    """A command's section has exactly its options."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    common = ArgumentParser()
    add_common(common)
    parser = _parser(command)
    rows = _option_rows(text, f"minglibc {command}")
    documented = {flag for row in rows for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*|(?<![\w-])-[A-Z]", row)}
    lacking = _options(parser) - _options(common) - documented
    assert not lacking, f"docs/reference/commands.md, minglibc {command}, lacks:\n{_rows(parser, lacking)}"
    assert set() == documented - _options(parser)
    for action in parser._actions:
        if not action.option_strings:
            names = action.choices or [action.metavar or action.dest]
            section = _section(text, f"minglibc {command}").upper()
            assert set() == {str(name) for name in names if str(name).upper() not in section}


def test_common_options_are_documented() -> None:
    """The options of all commands have a section."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    common = ArgumentParser()
    add_common(common)
    rows = _option_rows(text, "Global options")
    documented = {flag for row in rows for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row)}
    assert _options(common) == documented


def test_cache_folders_are_documented() -> None:
    """The reference names the current folders of the cache."""
    text = (ROOT / "docs" / "reference" / "cache.md").read_text(encoding="utf-8")
    assert {*maintenance.CURRENT, inputs.SCRIPTS} == set(re.findall(r"^([a-z]+-v?[0-9]+)/ ", text, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_json_examples_parse(path: Path) -> None:
    """JSON blocks are valid JSON."""
    for block in blocks(path):
        if block.language == "json":
            json.loads(block.body)


def test_json_schemas_are_linked() -> None:
    """json-output.md links to all schemas."""
    text = (ROOT / "docs" / "reference" / "json-output.md").read_text(encoding="utf-8")
    for schema in (ROOT / "docs" / "reference" / "json").glob("*.json"):
        assert f"(json/{schema.name})" in text
