"""The packages of dependency groups without those of the project itself, which a lock's markers can't tell apart."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from minglibc.app.lock_request import overrides_from
from minglibc.config.parser import parse
from minglibc.errors import SettingsError
from minglibc.lock.reader import Lock
from minglibc.lock.tree import graph
from minglibc.model.requirements import Environment, normalize_name
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection


def select_only(
    groups: Collection[str], lock: Lock, target: Target, pyproject: str | None, *, folder: str
) -> "Selection":
    """What *target* installs for *groups* of *pyproject*: their requirements and all that those depend on."""
    if pyproject is None:
        raise SettingsError(
            "--only-group needs the pyproject.toml that the lock was made from", hint="copy it beside the lock"
        )
    settings = parse(
        pyproject, overrides=overrides_from(lock.source.given), written=lock.source.is_project, folder=folder
    )
    markers = Environment(target.environment)
    names = {normalize_name(group) for group in groups}
    required = {
        requirement.name
        for group, requirements in settings.groups.items()
        if normalize_name(group) in names
        for requirement in requirements
        if markers.admits(requirement.marker)
    }
    selected = lock.select(target, groups=groups)
    needed = graph(package for package, _ in selected).reached(required)
    return [(package, file) for package, file in selected if package.name in needed]
