"""A source lock as the text of a pyproject.toml, which is resolved like any other project."""

from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from minglibc.source_locks.model import SourceLock


def as_pyproject(
    lock: SourceLock,
    settings: Mapping[str, Any],
    *,
    indexes: Mapping[str, Any] | None = None,
    project: str = "",
    default_groups: Any = None,
    classifiers: Sequence[str] = (),
) -> str:
    """The requirements of *lock* with the [tool.minglibc] table *settings* and the *indexes* of other tools, without versions."""
    metadata: dict[str, Any] = {"dependencies": list(lock.requirements)}
    if project:
        metadata["name"] = project
    if classifiers:
        metadata["classifiers"] = [*classifiers]
    if lock.requires_python:
        metadata["requires-python"] = lock.requires_python
    if lock.extras:
        metadata["optional-dependencies"] = {name: list(required) for name, required in lock.extras.items()}
    table = {key: value for key, value in settings.items() if key not in ("from", "default-groups")}
    if default_groups is not None:
        table["default-groups"] = default_groups
    for key, listed in (("constraints", lock.constraints), ("overrides", lock.overrides)):
        if listed:
            table[key] = [*table.get(key, []), *listed]
    document: dict[str, Any] = {"project": metadata}
    if lock.groups:
        document["dependency-groups"] = {name: list(required) for name, required in lock.groups.items()}
    return tomli_w.dumps({**document, "tool": {**(indexes or {}), "minglibc": table}})
