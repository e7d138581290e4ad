"""Sources of packages in the tables of uv, PDM and Poetry: a package that one of them replaces must not come from an index."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from minglibc.config.problems import Problems
from minglibc.config.settings import PathSource
from minglibc.model.requirements import normalize_name

_UV_PATH_KEYS = {"path", "editable"}
# Tables whose requirements only their own tool installs.
_GROUPS = (("uv", "dev-dependencies"), ("pdm", "dev-dependencies"), ("poetry", "group"), ("poetry", "dev-dependencies"))
_INDEXES = (("uv", "index"), ("uv", "index-url"), ("uv", "extra-index-url"), ("pdm", "source"), ("poetry", "source"))


def sources_of_other_tools(document: Mapping[str, Any]) -> dict[str, tuple[str, object]]:
    """The packages that uv or Poetry would not take from the default index: the key and value of each source, by name."""
    tool = document.get("tool")
    tables = tool if isinstance(tool, dict) else {}
    sources: dict[str, tuple[str, object]] = {}
    for key, table in (("tool.poetry.dependencies", _table(tables, "poetry", "dependencies")), *_uv_sources(tables)):
        for name, value in table.items():
            if isinstance(value, dict | list) and (key.startswith("tool.uv") or _is_poetry_source(value)):
                sources[normalize_name(name)] = f"{key}.{name}", value
    return sources


def parse_sources_of_other_tools(
    problems: Problems, document: Mapping[str, Any], required: Collection[str], known: Collection[str]
) -> dict[str, PathSource]:
    """The path sources of *required* packages; others are problems, unless [tool.minglibc.sources] has the package.

    Without that, the public project of the same name would replace them.
    """
    paths: dict[str, PathSource] = {}
    for name, (key, value) in sources_of_other_tools(document).items():
        if name not in required or name in known:
            continue
        path = _uv_path(value) if key.startswith("tool.uv") else None
        if path is None:
            problems.add(key, f"is {_kind(value)}, which minglibc does not read; {_advice(name, value)}")
        else:
            paths[name] = path
    problems.warnings += _unread_tables(document)
    return paths


def poetry_advice(document: Mapping[str, Any]) -> str:
    """What to do with a project that only Poetry's own table describes; else empty."""
    tool = document.get("tool")
    if "project" in document or not isinstance(tool, dict) or "poetry" not in tool:
        return ""
    return (
        "is missing, and [tool.poetry] is not read; move its dependencies to [project] (PEP 621, Poetry 2.0 or newer), "
        "or run `poetry export -o requirements.txt` and `minglibc lock -r requirements.txt`"
    )


def _uv_sources(tables: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "tool.uv.sources", _table(tables, "uv", "sources")


def _table(tables: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    value: object = tables
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _is_poetry_source(value: dict[str, Any] | list[Any]) -> bool:
    tables = value if isinstance(value, list) else [value]
    return any(isinstance(table, dict) and {"path", "git", "url", "source", "file"} & table.keys() for table in tables)


def _uv_path(value: object) -> PathSource | None:
    if not isinstance(value, dict) or not {"path"} <= value.keys() <= _UV_PATH_KEYS:
        return None
    path, editable = value["path"], value.get("editable", False)
    is_valid = isinstance(path, str) and path and path.isprintable() and isinstance(editable, bool)
    return PathSource(path, editable) if is_valid else None


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list of sources"
    keys = value.keys() if isinstance(value, dict) else set()
    kinds = {"git": "a Git repository", "workspace": "a member of a workspace", "url": "a URL", "path": "a path"}
    return next((kind for key, kind in kinds.items() if key in keys), "an index")


def _advice(name: str, value: object) -> str:
    table = value if isinstance(value, dict) else {}
    if "workspace" in table or "path" in table:
        path = table.get("path", f"packages/{name}")
        return f'write {name} = {{ path = "{path}" }} under [tool.minglibc.sources], with the path of its folder'
    if "git" in table:
        return (
            f"build a wheel of it, and require {name} @ URL with the URL or path of that wheel, or write "
            f'{name} = {{ path = "…" }} under [tool.minglibc.sources] with the path of a checkout'
        )
    if "url" in table:
        return f'require "{name} @ {table["url"]}"'
    return f'write {name} = {{ index = "…" }} under [tool.minglibc.sources], and that index as [[tool.minglibc.index]]'


def _unread_tables(document: Mapping[str, Any]) -> Iterator[str]:
    tool = document.get("tool")
    tables = tool if isinstance(tool, dict) else {}
    for names in _GROUPS:
        if _value(tables, names):
            yield f"tool.{'.'.join(names)} is not read; move its requirements to [dependency-groups] (PEP 735)"
    own = _table(tables, "minglibc")
    if not {"index", "index-url"} & own.keys():
        for names in _INDEXES:
            if _value(tables, names):
                key = f"tool.{'.'.join(names)}"
                yield f"{key} is not read; write the indexes as [[tool.minglibc.index]], or packages come from PyPI"


def _value(tables: Mapping[str, Any], names: tuple[str, ...]) -> object:
    return _table(tables, *names[:-1]).get(names[-1])
