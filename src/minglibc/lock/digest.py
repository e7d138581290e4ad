"""The digest of everything that a lock depends on, and the two digest lines that end a lock."""

# The fast path of `lock` imports this: no re (5 ms), typing (3 ms), collections (2 ms) or hashlib, which loads OpenSSL (3 ms).
import os

from minglibc.config.files import open_regular, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

try:  # as random in the standard library does
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # private, so not in typeshed
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # before CPython 3.12
    except ImportError:
        from hashlib import sha256

# The folder of the cache for the results of is_current_cached.
FOLDER = "digests-1"
# Increase it when the same inputs should lead to another lock.
FORMAT = 2
_LEGACY_FORMAT = 1  # of minglibc 0.1.0

# The keys of [project] that do not affect what is installed: a new version leaves the lock fresh. Classifiers only affect
# the default Pythons.
_IGNORED_KEYS = frozenset(
    (
        *("version", "description", "readme", "license", "license-files", "authors", "maintainers", "keywords"),
        *("classifiers", "urls", "scripts", "gui-scripts", "entry-points"),
    )
)
_PYTHON_CLASSIFIER = "Programming Language :: Python :: 3."
# The keys of [tool.minglibc] that do not affect the lock; the processor only affects a lock whose wheels are read.
_OTHER_SETTINGS = frozenset(("file-conflicts", "cpu"))
_SETTINGS_OF_VERIFY = frozenset(("cpu",))
# The tables of build backends, which matter where the metadata of the project are built.
_BACKENDS = (
    "setuptools",
    "setuptools_scm",
    "hatch",
    "pdm",
    "poetry",
    "flit",
    "scikit-build",
    "meson-python",
    "maturin",
)
_SEAL_LENGTH = len('inputs = ""\ntext = ""\n') + 2 * len("sha256:" + 64 * "0")
_HEX = frozenset("0123456789abcdef")


class LockDigests:
    """The two lines that end a lock: the digest of its inputs, and whether the text before them is unchanged."""

    __slots__ = ("inputs", "intact")

    def __init__(self, inputs: str, *, intact: bool) -> None:
        self.inputs = inputs
        self.intact = intact


def fingerprint(pyproject: str, overrides: "Mapping[str, object] | None" = None) -> str:
    """The digest of everything in *pyproject*, and of the *overrides* that are given, that a lock depends on.

    It covers the parsed values, so the TOML style does not matter.
    """
    try:
        body = ascii(_canonical(_relevant(_load(pyproject))))
    except (ValueError, RecursionError):
        body = f"invalid {pyproject}"  # a digest that no lock has
    return _digest(f"{FORMAT}\n{_given(overrides)}\n{body}")


def is_current(inputs: str, pyproject: str, overrides: "Mapping[str, object] | None" = None) -> bool:
    """Whether *inputs*, the digest in a lock, is that of *pyproject*, as this minglibc or minglibc 0.1.0 computes it."""
    if inputs == fingerprint(pyproject, overrides):
        return True
    try:
        _load(pyproject)
    except (ValueError, RecursionError):
        return False
    from minglibc.lock.legacy_digest import relevant_text  # noqa: PLC0415  for locks of 0.1.0 and stale ones

    body = relevant_text(pyproject.removeprefix("\ufeff"))
    return inputs == _digest(f"{_LEGACY_FORMAT}\n{_given(overrides)}\n{body}")


def is_current_cached(inputs: str, pyproject: str, *, cache: str, folder: str) -> bool:
    """As ``is_current``; the *cache* folder stores the last positive result for the project in *folder*, to save parsing."""
    if _read(_result_path(cache, folder)) == _result(inputs, pyproject):
        return True
    if not is_current(inputs, pyproject):
        return False
    record_current(inputs, pyproject, cache=cache, folder=folder)
    return True


def record_current(inputs: str, pyproject: str, *, cache: str, folder: str) -> None:
    """Store in the *cache* folder that *inputs* is the digest of *pyproject* in *folder*, without overrides."""
    _write(_result_path(cache, folder), _result(inputs, pyproject))


def _result_path(cache: str, folder: str) -> str:
    return os.path.join(cache, FOLDER, hexdigest(os.fsencode(folder))[:32])


def _result(inputs: str, pyproject: str) -> str:
    return _digest(f"{FORMAT}\n{inputs}\n{pyproject}")


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace", opener=open_regular) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    try:
        for folder in (os.path.dirname(os.path.dirname(path)), os.path.dirname(path)):
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
        replace_file(path, text.encode("ascii"))
    except OSError:  # without a cache, every run parses
        pass


def _given(overrides: "Mapping[str, object] | None") -> str:
    return repr(sorted((key, value) for key, value in (overrides or {}).items() if value is not None and value != ()))


def _load(text: str) -> dict[str, object]:
    from minglibc.model import toml  # noqa: PLC0415  15 ms, which is_current_cached saves

    return toml.loads(text.removeprefix("\ufeff"))


def _relevant(document: "Mapping[str, object]") -> dict[str, object]:
    """The part of pyproject.toml that a lock depends on."""
    relevant = {key: document[key] for key in ("project", "dependency-groups", "tool") if key in document}
    project, tool = document.get("project"), document.get("tool")
    left: object = None
    if isinstance(project, dict):
        table = {key: value for key, value in project.items() if key not in _IGNORED_KEYS}
        dynamic = table.pop("dynamic", None)
        # A version that becomes dynamic does not matter either.
        left = [key for key in dynamic if key not in _IGNORED_KEYS] if isinstance(dynamic, list) else dynamic
        if left:
            table["dynamic"] = left
        if pythons := _classified_pythons(project, tool):
            table["classifiers"] = pythons
        relevant["project"] = table
    elif isinstance(tool, dict) and (pythons := _classified_pythons(tool.get("poetry"), tool)):
        relevant["project"] = {"classifiers": pythons}
    if isinstance(tool, dict):
        tables = {key: _lock_settings(value) for key, value in tool.items() if key == "minglibc"}
        # The tables of build backends are only read for dynamic dependencies.
        read = {
            "uv": ["sources", "workspace"],
            "pdm": ["dev-dependencies", "resolution", "source"],
            **({"setuptools": ["dynamic"], "hatch": ["metadata"]} if left else {}),
        }
        uv = tool.get("uv")
        if isinstance(uv, dict):
            from minglibc.config.other_rules import RULES_OF_UV  # noqa: PLC0415  1 ms; only for projects of uv

            read["uv"] += RULES_OF_UV
        # What a project of Poetry requires, in Poetry's own tables.
        read["poetry"] = ["name", "dependencies", "group", "dev-dependencies", "extras", "source"]
        if left and _is_built(document):
            tables |= {name: tool[name] for name in _BACKENDS if name in tool}
            relevant["build-system"] = document.get("build-system")
        for name, keys in read.items():
            if name not in tables and (used := _part(tool.get(name), keys)):
                tables[name] = used
        relevant["tool"] = tables
    return relevant


def _is_built(document: "Mapping[str, object]") -> bool:
    """Whether the metadata of the project may be built, so that all settings of its build matter."""
    from minglibc.config.dynamic_metadata import may_build  # noqa: PLC0415  10 ms; few projects have dynamic dependencies

    return may_build(document)


def _part(table: object, keys: list[str]) -> dict[str, object]:
    """The *keys* of *table* that have a value."""
    return {key: table[key] for key in keys if table.get(key)} if isinstance(table, dict) else {}


def _classified_pythons(project: object, tool: object) -> list[str]:
    """The classifiers that select the default Pythons; none if a setting names the Pythons."""
    table = tool.get("minglibc") if isinstance(tool, dict) else None
    classifiers = project.get("classifiers") if isinstance(project, dict) else None
    if not isinstance(classifiers, list) or (isinstance(table, dict) and {"python", "target"} & table.keys()):
        return []
    return sorted(text for text in classifiers if isinstance(text, str) and text.startswith(_PYTHON_CLASSIFIER))


def _lock_settings(table: object) -> object:
    """[tool.minglibc] without the settings that only `sync` and `check` use."""
    if not isinstance(table, dict):
        return table
    ignored = _OTHER_SETTINGS - _SETTINGS_OF_VERIFY if table.get("verify") is True else _OTHER_SETTINGS
    return {key: value for key, value in table.items() if key not in ignored}


def _canonical(value: object) -> object:
    """*value* with its tables as sorted tuples, which no other TOML value becomes."""
    if isinstance(value, dict):
        return tuple(sorted((key, _canonical(item)) for key, item in value.items()))
    return [_canonical(item) for item in value] if isinstance(value, list) else value


def seal(body: str, inputs: str) -> str:
    """The lock *body*, which ends inside its ``[tool.minglibc]`` table, followed by both digests."""
    sealed = f'{body}inputs = "{inputs}"\n'
    return f'{sealed}text = "{_digest(sealed)}"\n'


def lock_digests(lock: str) -> LockDigests | None:
    """The digests in the last two lines of *lock*; None if it does not end with them."""
    text = lock.replace("\r\n", "\n")
    sealed = text[-_SEAL_LENGTH:]
    inputs, written = sealed[len('inputs = "') :][:71], sealed[-len(f'{64 * "0"}sha256:"\n') : -len('"\n')]
    if sealed != f'inputs = "{inputs}"\ntext = "{written}"\n' or not _is_digest(inputs) or not _is_digest(written):
        return None
    if '\nlock-version = "1.' not in text:
        return None
    return LockDigests(inputs, intact=_digest(text[: -len(f'text = "{written}"\n')]) == written)


def _is_digest(text: str) -> bool:
    return text.startswith("sha256:") and len(text) == 71 and _HEX.issuperset(text[7:])


def hexdigest(content: bytes) -> str:
    """The SHA-256 of *content*, by the implementation that is already imported."""
    digest: str = sha256(content).hexdigest()
    return digest


def _digest(text: str) -> str:
    # A lone surrogate can't come from a file; "surrogatepass" only keeps this function total.
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
