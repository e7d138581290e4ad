"""The extras and groups of a source lock that are locked: all, or those that a setting or option selects."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from minglibc.errors import LockError
from minglibc.model.requirements import Environment, normalize_name
from minglibc.source_locks.model import SourceLock


class Parts(NamedTuple):
    """The names of extras and groups; None selects all of them, without those that are excluded."""

    extras: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    no_extras: Sequence[str] = ()
    no_groups: Sequence[str] = ()

    @classmethod
    def of_options(cls, given: Mapping[str, Sequence[str]]) -> "Parts":
        """The parts that the recorded options of a lock select."""
        return cls(given.get("extra"), given.get("group"), given.get("no-extra", ()), given.get("no-group", ()))


ALL = Parts()


def select_parts(lock: SourceLock, parts: Parts) -> SourceLock:
    """*lock* with only the extras and groups of *parts*; raises LockError that lists all unknown names."""
    if parts == ALL:
        return lock
    unknown: list[str] = []

    def select(kind: str, defined: Iterable[str], selected: Sequence[str] | None, excluded: Sequence[str]) -> set[str]:
        by_name = {normalize_name(name): name for name in defined}
        listed = ", ".join(sorted(by_name.values())) or "none"
        requested = (*(selected or ()), *excluded)
        unknown.extend(
            f"the {kind} {name}; it has {listed}" for name in requested if normalize_name(name) not in by_name
        )
        kept = by_name.keys() if selected is None else by_name.keys() & set(map(normalize_name, selected))
        return {by_name[name] for name in kept - set(map(normalize_name, excluded))}

    extras = select("extra", lock.extras, parts.extras, parts.no_extras)
    groups = select("group", lock.groups, parts.groups, parts.no_groups)
    if unknown:
        raise LockError(
            "the source lock does not have\n" + "\n".join(f"  {line}" for line in unknown),
            hint="give the names of extras and groups of the project",
        )
    return _with_parts(lock, extras, groups)


def _with_parts(lock: SourceLock, extras: set[str], groups: set[str]) -> SourceLock:
    names = {normalize_name(name) for name in (*extras, *groups)}
    selected: Callable[[str], bool] = lambda name: normalize_name(name) in names  # noqa: E731
    roots = tuple(
        edge._replace(extras=tuple(filter(selected, edge.extras))) if edge.is_project else edge
        for edge in lock.roots
        if not edge.group or selected(edge.group)
    )
    packages = tuple(
        package
        for package in lock.packages
        if (not package.groups or any(not group or selected(group) for group in package.groups))
        and (not package.needed_by or any(map(selected, package.needed_by)))
    )
    return lock._replace(
        packages=lock.packages if lock.graph else packages,
        extras={name: lock.extras[name] for name in lock.extras if name in extras},
        groups={name: lock.groups[name] for name in lock.groups if name in groups},
        roots=roots,
    )


def parts_without(lock: SourceLock, names: Collection[str], environments: Iterable[Environment]) -> Parts | None:
    """The fewest extras and groups to exclude so that no environment has any of *names*; None if none suffice."""
    selected = tuple(environments)

    def has_any(parts: Parts) -> bool:
        part = select_parts(lock, parts)
        return any(not part.selected(environment).keys().isdisjoint(names) for environment in selected)

    if has_any(Parts((), ())):
        return None
    extras = [extra for extra in lock.extras if has_any(Parts((extra,), ()))]
    groups = [group for group in lock.groups if has_any(Parts((), (group,)))]
    return Parts(no_extras=extras, no_groups=groups)
