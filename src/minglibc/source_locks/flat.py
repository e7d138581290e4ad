"""Requirements for a lock that records only its packages, not what the project requires."""

from collections.abc import Collection, Mapping, Sequence

from minglibc.model.requirements import disjunction
from minglibc.source_locks.model import SourceKind, SourceLock, SourcePackage


def requirements_of(
    lock: SourceLock,
    *,
    dependencies: Mapping[str, Collection[str]] | None = None,
    extras: Mapping[str, Sequence[str]] | None = None,
) -> SourceLock:
    """*lock* with a requirement for each package that no other one requires, and for the packages of each extra.

    *dependencies* are the projects that a package requires without an extra. A requirement has no version: the policy
    decides whether a version may change.
    """
    optional = {name for names in (extras or {}).values() for name in names}
    groups: dict[str, dict[str, list[SourcePackage]]] = {"": {}}
    for package in lock.packages:
        if package.kind is not SourceKind.LOCAL and package.name not in optional:
            for group in package.groups or ("",):
                groups.setdefault(group, {}).setdefault(package.name, []).append(package)
    requirements = {
        group: merged(
            [requirement(package) for name in _roots(members, dependencies or {}) for package in members[name]]
        )
        for group, members in groups.items()
    }
    by_name = {package.name: package for package in lock.packages}
    return lock._replace(
        requirements=requirements.pop(""),
        groups=requirements,
        extras={
            extra: merged([requirement(by_name[name]) for name in names if name in by_name])
            for extra, names in (extras or {}).items()
        },
    )


def _roots(members: Collection[str], dependencies: Mapping[str, Collection[str]]) -> list[str]:
    """The fewest of *members* from which all of them are reached, roughly: one package of each circle is added."""
    required = {name for member in members for name in dependencies.get(member, ()) if name != member}
    roots = [member for member in members if member not in required]
    reached: set[str] = set()
    waiting = list(roots)
    unreached = sorted(members, reverse=True)
    while waiting or unreached:
        if not waiting:
            name = unreached.pop()
            if name not in reached:
                roots.append(name)
                waiting.append(name)
            continue
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in dependencies.get(name, ()) if other in members]
    return sorted(roots)


def requirement(package: SourcePackage, marker: str | None = None) -> str:
    """The requirement of *package*, with its own marker unless another is given."""
    marker = package.marker if marker is None else marker
    extras = f"[{','.join(package.extras)}]" if package.extras else ""
    direct = package.kind in {SourceKind.URL, SourceKind.FILE} and package.location.partition("#")[0].endswith(".whl")
    address = f" @ {package.location}" if direct else ""
    return f"{package.name}{extras}{address}{f' ; {marker}' if marker else ''}"


def merged(requirements: Sequence[str]) -> tuple[str, ...]:
    """*requirements* with one entry for each package: several versions of one have markers that are joined."""
    by_address: dict[str, list[str]] = {}
    for text in requirements:
        address, _, marker = text.partition(" ; ")
        by_address.setdefault(address, []).append(marker)
    joined = {address: disjunction(listed) for address, listed in by_address.items()}
    return tuple(f"{address} ; {marker}" if marker else address for address, marker in joined.items())
