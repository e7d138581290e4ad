"""`minglibc init`: [tool.minglibc] for a project that has none yet, with what uv or pdm were told already."""

import os
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import tomlkit

from minglibc.cli.options import Namespace, Parser
from minglibc.config import parser, project_files, settings, toml_file
from minglibc.errors import SettingsError, TargetError
from minglibc.model import versions
from minglibc.model.targets import ARCHITECTURES, LIBCS, PythonVersion, check_architecture, check_cap

# uv's own words for what means the same here.
_UV_KEYS = {
    "constraint-dependencies": "constraints",
    "override-dependencies": "overrides",
    "exclude-dependencies": "excludes",
    "exclude-newer": "exclude-newer",
    "exclude-newer-package": "exclude-newer-package",
    "index-url": "index-url",
    "resolution": "resolution",
    "default-groups": "default-groups",
}
# What may be taken from several places.
_MANY = ("index", "sources")
_PRERELEASES = {"allow": True, "disallow": False}
_UNWANTED = re.compile(r"[^A-Za-z0-9._-]+")
_LINE = re.compile(r" \(line [0-9]+\)")
_CREDENTIALS = re.compile(r"//[^/?#]*@")


class Taken(NamedTuple):
    """A setting of another tool that means the same here."""

    source: str
    key: str
    value: Any


class Left(NamedTuple):
    """A setting of another tool that stays behind, and why."""

    source: str
    why: str


def configure(parser: Parser) -> None:
    """Add the options of `init` to *parser*."""
    parser.add_argument("--glibc", metavar="VERSION", help="the oldest machine's glibc (default: this machine's)")
    parser.add_argument(
        "--musl",
        metavar="VERSION",
        help="the oldest musl of machines that have it, such as Alpine's (default: this machine's)",
    )
    parser.add_argument(
        "--python",
        metavar="VERSION",
        action="append",
        default=[],
        help="a CPython that the project runs on; may be repeated (default: the one that runs this)",
    )
    parser.add_argument(
        "--arch",
        metavar="NAME",
        action="append",
        default=[],
        help="an architecture that the project runs on; may be repeated (default: this machine's)",
    )


def run(args: Namespace) -> int:
    """Add [tool.minglibc] to pyproject.toml, or make the file; says what it took over and what it left."""
    folder, text = _open(args.project, args.python)
    document = toml_file.load(text.removeprefix("\ufeff"))
    tool = document.get("tool", {})
    if not isinstance(tool, dict):
        raise SettingsError("pyproject.toml: tool is not a table; [tool.minglibc] has no place")
    if "minglibc" in tool:
        raise SettingsError(
            f"{project_files.pyproject_path(folder)} has a [tool.minglibc] table already",
            hint="change it by hand, then run `minglibc lock`",
        )
    outcomes = _settled([*_from_uv(tool.get("uv"), document), *_from_pdm(tool.get("pdm"))], args)
    taken = _gathered(outcome for outcome in outcomes if isinstance(outcome, Taken))
    table = _proposal(args, document, taken)
    added = _rendered(table)
    project_files.write_pyproject(folder, _appended(text, added))
    print(f"Added to {project_files.pyproject_path(folder)}:\n\n{added}", end="")
    _report(outcomes, proposed={} if _caps(args, taken) else {libc: table[libc] for libc in LIBCS if libc in table})
    _warn(folder)
    return 0


def _open(directory: str | None, pythons: list[str]) -> tuple[str, str]:
    """The project's folder and the text of its pyproject.toml, or of a first one."""
    try:
        folder = project_files.find(directory)
    except SettingsError:
        folder = os.path.abspath(directory or ".")
        if not os.path.isdir(folder):
            raise
        return folder, _first_text(folder, pythons)
    return folder, project_files.read_pyproject(folder)


def _first_text(folder: str, pythons: list[str]) -> str:
    name = _UNWANTED.sub("-", folder.rpartition("/")[2]).strip("-._") or "project"
    chosen = [PythonVersion.parse(text) for text in pythons] or [PythonVersion(sys.version_info.minor)]
    oldest = min(chosen, key=lambda python: python.minor)
    return f'[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">={oldest.short}"\ndependencies = []\n'


def _proposal(args: Namespace, document: dict[str, Any], taken: dict[str, Any]) -> dict[str, Any]:
    """The new table: what the command line says, what another tool said, and this machine for the rest."""
    architectures = [check_architecture(name) for name in args.arch]
    if not architectures and os.uname().machine in ARCHITECTURES:
        architectures = [os.uname().machine]
    table: dict[str, Any] = _caps(args, taken) or _host_caps()
    for libc, cap in table.items():
        for architecture in architectures:
            check_cap(LIBCS[libc].parse(cap), architecture)
    if pythons := _pythons(args.python, document):
        table["python"] = pythons
    if architectures and tuple(architectures) != settings.DEFAULT_ARCHITECTURES:
        table["architectures"] = architectures
    # Arrays of tables come after all that would otherwise be read as part of the last of them.
    return table | {key: taken[key] for key in sorted(taken, key="index".__eq__) if key not in LIBCS}


def _caps(args: Namespace, taken: dict[str, Any]) -> dict[str, str]:
    """The cap on each C library that somebody named."""
    named = {libc: vars(args)[libc] or taken.get(libc) for libc in LIBCS}
    return {libc: cap for libc, cap in named.items() if cap}


def _host_caps() -> dict[str, str]:
    try:
        # platform.libc_ver() reads the interpreter's file and can name an older glibc than the one that runs.
        library, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError, AttributeError):
        library = version = ""
    if library == "glibc":
        # A distribution may write 2.36.9000.
        return {library: ".".join(version.split(".")[:2])}
    from minglibc.install import interpreter  # noqa: PLC0415  paid for only where glibc is not found

    libc = interpreter.inspect(sys.executable).machine.libc
    if libc is None:
        raise SettingsError(
            "this machine has no glibc or musl to propose", hint="give the oldest machine's: --glibc 2.17"
        )
    return {libc.libc: str(libc)}


def _pythons(asked: list[str], document: dict[str, Any]) -> list[str]:
    """What the table says of Python; nothing where requires-python says it better."""
    metadata = document.get("project", {})
    requires_python = metadata.get("requires-python", "") if isinstance(metadata, dict) else ""
    if not asked:
        try:
            running = PythonVersion.parse(f"3.{sys.version_info.minor}")
            return [str(running)] if versions.contains(requires_python, running.full) else []
        except (TargetError, ValueError, TypeError):
            return []
    for text in asked:
        python = PythonVersion.parse(text)
        if isinstance(requires_python, str) and not versions.contains(requires_python, python.full):
            raise SettingsError(f"--python {text} is outside project.requires-python {requires_python}")
    return asked


# ---- what other tools were told


def _from_uv(table: object, document: dict[str, Any]) -> Iterator[Taken | Left]:
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        source = f"tool.uv.{key}"
        if key in _UV_KEYS:
            yield Taken(source, _UV_KEYS[key], value)
        elif key == "minimum-libc-version":
            yield from _uv_libc(source, value)
        elif key == "prerelease":
            known = isinstance(value, str) and value in _PRERELEASES
            yield (
                Taken(source, "prereleases", _PRERELEASES[value])
                if known
                else Left(source, "minglibc knows allow and disallow")
            )
        elif key == "index":
            yield from _uv_indexes(value)
        elif key != "sources":
            yield Left(source, "minglibc has nothing that means the same")
    # After the indexes, whatever the order in the file: a source is of use where its index is known.
    yield from _uv_sources(table.get("sources"))
    groups = document.get("dependency-groups")
    if "default-groups" not in table and isinstance(groups, dict) and "dev" in groups:
        yield Taken("uv's default group", "default-groups", ["dev"])


def _uv_libc(source: str, value: object) -> Iterator[Taken | Left]:
    found = {libc: value[libc] for libc in LIBCS if value.get(libc)} if isinstance(value, dict) else {}
    yield from (Taken(f"{source}.{libc}" if libc == "musl" else source, libc, cap) for libc, cap in found.items())
    if not found:
        yield Left(source, "it names no glibc or musl")


def _uv_indexes(value: object) -> Iterator[Taken | Left]:
    for position, index in enumerate(value if isinstance(value, list) else []):
        source = f"tool.uv.index[{position}]"
        if not isinstance(index, dict):
            yield Left(source, "it is no table")
        elif "name" in index:
            yield Taken(source, "index", [{key: index[key] for key in settings.INDEX_KEYS if key in index}])
            for key in index.keys() - settings.INDEX_KEYS:
                yield Left(f"{source}.{key}", "minglibc has nothing that means the same")
        elif index.get("default") is True:
            yield Taken(source, "index-url", index.get("url"))
        else:
            yield Left(source, "it has no name, and a [[tool.minglibc.index]] needs one")


def _uv_sources(value: object) -> Iterator[Taken | Left]:
    for name, origin in (value if isinstance(value, dict) else {}).items():
        source = f"tool.uv.sources.{name}"
        if isinstance(origin, dict) and origin.keys() == {"index"}:
            yield Taken(source, "sources", {name: origin})
        else:
            yield Left(source, "minglibc knows sources that are an index, and nothing else")


def _from_pdm(table: object) -> Iterator[Taken | Left]:
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        source = f"tool.pdm.{key}"
        if key == "source":
            yield from _pdm_sources(value)
        elif key == "resolution" and isinstance(value, dict):
            yield from _pdm_resolution(value)
        else:
            yield Left(source, "minglibc has nothing that means the same")


def _pdm_sources(value: object) -> Iterator[Taken | Left]:
    for position, index in enumerate(value if isinstance(value, list) else []):
        source = f"tool.pdm.source[{position}]"
        # PDM takes the source of this name in place of the public index.
        if isinstance(index, dict) and index.get("name") == "pypi" and index.get("type", "index") == "index":
            yield Taken(source, "index-url", index.get("url"))
        else:
            yield Left(source, 'only the source called "pypi" means the same; the others\' versions count together')


def _pdm_resolution(table: dict[str, Any]) -> Iterator[Taken | Left]:
    for key, value in table.items():
        source = f"tool.pdm.resolution.{key}"
        if key == "excludes":
            yield Taken(source, "excludes", value)
        elif key == "allow-prereleases":
            yield Taken(source, "prereleases", value)
        elif key == "overrides" and isinstance(value, dict):
            yield Taken(source, "overrides", [_pdm_override(name, wanted) for name, wanted in value.items()])
        else:
            yield Left(source, "minglibc has nothing that means the same")


def _pdm_override(name: str, wanted: object) -> object:
    if not isinstance(wanted, str):
        return wanted
    if "://" in wanted:
        return f"{name} @ {wanted}"
    # PDM reads a bare version as an exact one.
    return f"{name}{wanted}" if wanted[:1] in set("<>=!~") else f"{name}=={wanted}"


def _settled(outcomes: list[Taken | Left], args: Namespace) -> list[Taken | Left]:
    """*outcomes* with one value a key: the command line's, then the first that can be taken."""
    said = {libc: f"--{libc}" for libc in LIBCS if vars(args)[libc]}
    settled: list[Taken | Left] = []
    for found in outcomes:
        outcome = _checked(found) if isinstance(found, Taken) else found
        if isinstance(outcome, Taken) and outcome.key == "sources" and not _is_known(outcome, settled):
            outcome = Left(outcome.source, "its index stays behind")
        elif isinstance(outcome, Taken) and outcome.key not in _MANY:
            if outcome.key in said:
                outcome = Left(outcome.source, f"{said[outcome.key]} says it")
            else:
                said[outcome.key] = outcome.source
        settled.append(outcome)
    return settled


def _is_known(outcome: Taken, settled: list[Taken | Left]) -> bool:
    """Whether the index of a source was taken."""
    (origin,) = outcome.value.values()
    names = [each.value[0]["name"] for each in settled if isinstance(each, Taken) and each.key == "index"]
    return origin["index"] in names


def _gathered(found: Iterator[Taken]) -> dict[str, Any]:
    """The values by their keys; what may stand there many times is put together."""
    values: dict[str, Any] = {}
    for each in found:
        if each.key == "index":
            values["index"] = [*values.get("index", []), *each.value]
        elif each.key == "sources":
            values["sources"] = {**values.get("sources", {}), **each.value}
        else:
            values[each.key] = each.value
    return values


def _checked(outcome: Taken) -> Taken | Left:
    """*outcome*, unless the value could not stand under [tool.minglibc]."""
    if outcome.value is None:
        return Left(outcome.source, "it has no url")
    if outcome.key == "index-url" and isinstance(outcome.value, str) and _CREDENTIALS.search(outcome.value):
        return Left(outcome.source, "it holds credentials; give the address by MINGLIBC_INDEX_URL")
    if outcome.key == "index" and _CREDENTIALS.search(str(outcome.value[0].get("url"))):
        return Left(outcome.source, "it holds credentials; write it without them, and give them by netrc or variables")
    # Which groups there are is not looked at here: parser.parse says it of the whole file.
    if outcome.key == "default-groups" and isinstance(outcome.value, list):
        return outcome
    table: dict[str, Any] = {"glibc": "2.17", outcome.key: outcome.value}
    if outcome.key == "sources":
        (origin,) = outcome.value.values()
        table["index"] = [{"name": str(origin["index"]), "url": "https://index.example.invalid/"}]
    trial = {"project": {"requires-python": ">=3.9"}, "tool": {"minglibc": table}}
    try:
        parser.parse(tomlkit.dumps(trial))
    except SettingsError as error:
        return Left(outcome.source, _LINE.sub("", error.message.partition("\n")[2].strip()))
    return outcome


# ---- writing and telling


def _rendered(table: dict[str, Any]) -> str:
    rendered = tomlkit.table()
    for key, value in table.items():
        item = tomlkit.item(value)
        if isinstance(item, tomlkit.items.Array) and len(item.as_string()) > 80:
            item.multiline(multiline=True)
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            item = inline
        rendered.add(key, item)
    return tomlkit.dumps({"tool": {"minglibc": rendered}})


def _appended(text: str, added: str) -> str:
    """*text* as it was, byte for byte, with the lines of *added* after it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    bare = text.rstrip("\r\n")
    whole = f"{text if text != bare or not text else text + newline}{newline if bare else ''}{added.replace(chr(10), newline)}"
    try:
        toml_file.load(whole.removeprefix("\ufeff"))
    except SettingsError as error:
        raise SettingsError(
            "[tool.minglibc] can't be added at the end of pyproject.toml, where tool is an inline table",
            hint=f"add it there by hand:\n{added}",
        ) from error
    return whole


def _report(outcomes: list[Taken | Left], *, proposed: dict[str, str]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Taken):
            print(f"took {outcome.source} as {outcome.key}", file=sys.stderr)
        else:
            print(f"left {outcome.source}: {outcome.why}", file=sys.stderr)
    for libc, version in proposed.items():
        print(
            f"{libc} {version} is this machine's own; write the oldest machine's there, then run `minglibc lock`",
            file=sys.stderr,
        )


def _warn(folder: str) -> None:
    """Say now what `minglibc lock` would refuse."""
    try:
        parser.parse(project_files.read_pyproject(folder))
    except SettingsError as error:
        print(f"before `minglibc lock` can run: {error.message}", file=sys.stderr)
