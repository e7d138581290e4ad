"""What the commands that explain a lock have in common: the lock on disk, read back with the pages that it was made from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from minglibc.cache.pages import Store
from minglibc.cli.lock_sources import existing
from minglibc.cli.locking import Work, digest, work
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.cli.progress import Progress
from minglibc.index.vulnerabilities import Advisories
from minglibc.insight.outdated import ReleaseStatus, outdated, releases, with_vulnerabilities
from minglibc.insight.replay import CompatibilityAt, replay
from minglibc.insight.why import Explainer
from minglibc.lock.document import Lock
from minglibc.model.targets import Target
from minglibc.resolve.resolver import Resolution


class Locked(NamedTuple):
    """A lock and everything that can be asked of it."""

    lock: Lock
    work: Work
    resolutions: list[Resolution]
    compatibility_at: CompatibilityAt
    explainer: Explainer
    advisories: Advisories

    def rows(self) -> list[ReleaseStatus]:
        """Each locked release against the newest, with what is known of its vulnerabilities."""
        rows = outdated(self.resolutions, self.explainer)
        locked, newest = releases(rows)
        return with_vulnerabilities(
            rows, self.advisories.of(locked, newest=newest), self.explainer, self.compatibility_at
        )


@contextmanager
def locked(arguments: Namespace) -> Iterator[Locked]:
    """Open the lock that is asked for; raises LockError where there is none, or one that is not whole."""
    lock, asked = existing(arguments)
    if lock.inputs != digest(asked.text, arguments):
        talk(arguments, f"warning: {asked.name} is stale; this is about the lock as it is")
    versions = {str(package.name): str(package.version) for package in lock.pylock.packages if package.version}
    with (
        Progress(arguments) as progress,
        work(
            asked.text,
            arguments,
            origin=asked.origin,
            place=asked.folder,
            locked=versions,
            on_fetch=progress.fetching,
        ) as found,
    ):
        compatibility_at: CompatibilityAt = found.compatibilities[0].at
        if found.maker is not None:
            from minglibc.cli.making import informed  # noqa: PLC0415  few projects build

            compatibility_at = informed(found, found.maker, versions)
        resolutions = replay(lock, found.roots, compatibility_at, found.source, policy=found.policy)
        explainer = Explainer(found.source, compatibility_at, found.policy, resolutions=resolutions)
        yield Locked(lock, found, resolutions, compatibility_at, explainer, advisories_of(found, arguments))


def advisories_of(found: Work, arguments: Namespace) -> Advisories:
    """The vulnerabilities that the project's index knows of."""
    store = Store(cache_folder(arguments))
    url = found.source.url
    return Advisories(
        url,
        store,
        offline=arguments.offline,
        credentials=found.source.credentials,
        concerns=lambda name: not found.source.is_local(url) and found.source.homes.get(name, url) == url,
        on_trouble=lambda message: talk(arguments, f"warning: {message}"),
    )


def targets_as_json(targets: Sequence[Target]) -> list[dict[str, str]]:
    """Targets in the form that all of docs/reference/json has them in."""
    return [target.table for target in targets]


def spoken(targets: Sequence[Target], of: Sequence[Target] = ()) -> str:
    """Targets in few words; what all *of* the lock's targets have in common is left out."""
    one_cap = len({target.cap for target in of}) == 1
    one_architecture = len({target.architecture for target in of}) == 1
    kinds: dict[str, list[str]] = {}
    for target in targets:
        where = "" if one_architecture else f" on {target.architecture}"
        where += "" if one_cap else f" with {target.cap.named}"
        kinds.setdefault(where, []).append(str(target.python))
    return "; ".join(f"CPython {', '.join(pythons)}{where}" for where, pythons in kinds.items())
