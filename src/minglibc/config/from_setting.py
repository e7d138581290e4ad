"""``tool.minglibc.from``: the lock of another tool that a project's lock is made from."""

from typing import Any, NamedTuple

from minglibc.config.lock_source import DEFAULT_POLICY, POLICIES
from minglibc.config.problems import Problems
from minglibc.config.toml_file import load
from minglibc.errors import SettingsError
from minglibc.model.artifacts import leaves_folder

_KEY = "tool.minglibc.from"
_EXAMPLE = 'from = { file = "uv.lock", policy = "nearest" }'


class FromSetting(NamedTuple):
    """The file, from the project's folder, how its versions are used, and the extras and groups: all if None."""

    file: str
    policy: str
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None


def read_from_setting(pyproject: str) -> FromSetting | None:
    """The setting in the text of pyproject.toml, None if it is missing; raises SettingsError."""
    if "from" not in pyproject:
        return None
    document = load(pyproject.removeprefix("\ufeff"))
    tool = document.get("tool", {})
    table = tool.get("minglibc", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict) or "from" not in table:
        return None
    problems = Problems(pyproject, {})
    setting = _parse(table["from"], problems)
    if problems.messages:
        raise SettingsError("pyproject.toml is invalid:\n" + "\n".join(f"  {line}" for line in problems.messages))
    return setting


def _parse(value: Any, problems: Problems) -> FromSetting:
    table: Any = {"file": value} if isinstance(value, str) else value
    if not isinstance(table, dict):
        problems.unexpected(_KEY, value, f"expected the path of a lock, or {_EXAMPLE}")
        return FromSetting("", DEFAULT_POLICY)
    problems.check_keys(table, ("file", "policy", "extras", "groups"), _KEY)
    path = table.get("file")
    if not isinstance(path, str) or not path or not path.isprintable():
        problems.unexpected(f"{_KEY}.file" if "file" in table else _KEY, path, f"expected a path: {_EXAMPLE}")
    elif leaves_folder(path):
        problems.add(f"{_KEY}.file" if isinstance(value, dict) else _KEY, "is not in the folder of the project")
    policy = problems.choice(table, "policy", POLICIES, f"{_KEY}.policy")
    return FromSetting(str(path or ""), policy, _names(table, "extras", problems), _names(table, "groups", problems))


def _names(table: dict[str, Any], key: str, problems: Problems) -> tuple[str, ...] | None:
    if key not in table:
        return None
    names = table[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.unexpected(f"{_KEY}.{key}", names, f"expected a list of names, which may be empty: {key} = []")
        return ()
    return tuple(names)
