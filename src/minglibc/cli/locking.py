"""From arguments to an answer: what `lock`, `add`, `outdated`, `why`, `caps` and `report` have in common."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from minglibc.cache.pages import Store
from minglibc.cli.indexes import addresses, open_index
from minglibc.cli.options import Namespace, cache_folder, folder, talk
from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides, Settings
from minglibc.index.client import Index
from minglibc.lock.digest import fingerprint
from minglibc.lock.document import EXTRA, GROUP, PROJECT, Inputs
from minglibc.model.compatibility import Cutoff, TargetCompatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import Policy, Root
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolver import Resolution, Unresolvable, resolve

if TYPE_CHECKING:
    from minglibc.cli.making import Maker

# Finding out who quarrels takes a search for each group; a message that comes late helps nobody.
_PATIENCE = 5.0

Locked = Callable[[Target], Mapping[str, str]]


class Work(NamedTuple):
    """A project ready to be resolved."""

    settings: Settings
    roots: tuple[Root, ...]
    compatibilities: tuple[TargetCompatibility, ...]
    policy: Policy
    source: Index
    inputs: Inputs
    # Where something may be built from source.
    maker: "Maker | None" = None

    def solve(self, locked: Locked, *, on_target: Callable[[Target], None] = lambda target: None) -> list[Resolution]:  # noqa: ARG005
        """One resolution per target; raises ResolutionError with the whole story."""
        try:
            return resolve_all(
                self.roots, self.compatibilities, self.source, locked=locked, policy=self.policy, on_target=on_target
            )
        except Unresolvable as failure:
            from minglibc.cli.proposing import tried  # noqa: PLC0415  it stands on this module
            from minglibc.resolve.explain import explain  # noqa: PLC0415  most locks have an answer

            offers = tried(self, failure)
            raise explain(failure, self.works, quarrel=self._quarrel(failure), offers=offers) from failure

    def _quarrel(self, failure: Unresolvable) -> list[str]:
        """The fewest of the project, its extras and its groups that can't be locked together on the failure's target."""
        from minglibc.resolve.explain import fewest  # noqa: PLC0415  most locks have an answer

        end = time.monotonic() + _PATIENCE

        def fails(askers: Collection[str]) -> bool:
            if time.monotonic() > end:
                raise TimeoutError
            roots = [root for root in self.roots if root.parent in askers]
            try:
                resolve(roots, failure.provider.compatibility, self.source, policy=self.policy)
            except Unresolvable:
                return True
            return False

        try:
            return [] if failure.gave_up else fewest(dict.fromkeys(root.parent for root in self.roots), fails)
        except TimeoutError:
            return []

    def works(self, cap: Cap) -> bool:
        """Whether all targets can be locked when none with its C library has a lower cap than *cap*."""
        from minglibc.cli.proposing import is_proven  # noqa: PLC0415  it stands on this module

        compatibilities = compatibilities_of(self.settings, [target.raised(cap) for target in self.settings.targets])
        try:
            return is_proven(self, resolve_all(self.roots, compatibilities, self.source, policy=self.policy))
        except Unresolvable:
            return False


def overrides(arguments: Namespace) -> Overrides:
    """What the command line and the environment say instead of [tool.minglibc]."""
    pythons, architectures = tuple(arguments.python or ()), tuple(arguments.arch or ())
    return Overrides(arguments.glibc, arguments.musl, pythons, architectures)


def digest(text: str, arguments: Namespace) -> str:
    """The digest of a lock's inputs; --index-url names another door to the same files, and is none of them."""
    return fingerprint(text, overrides(arguments).given)


@contextmanager
def work(
    text: str,
    arguments: Namespace,
    *,
    origin: LockSource = PROJECT_FILE,
    place: str | None = None,
    locked: Mapping[str, str] | None = None,
    builds: bool = False,
    on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
) -> Iterator[Work]:
    """Open the project whose pyproject.toml says *text*; raises SettingsError for all that is wrong with it.

    Without *builds* nothing is built, and a source's metadata are known only where that needs no build any more.
    """
    settings = parse(text, name=origin.name, overrides=overrides(arguments), written=origin.is_project)
    for warning in settings.warnings:
        talk(arguments, f"warning: {warning}")
    for note in settings.notes:
        talk(arguments, note, level=1)
    roots = roots_of(settings)
    compatibilities = compatibilities_of(settings, settings.targets)
    store = Store(cache_folder(arguments), on_trouble=lambda message: talk(arguments, f"warning: {message}"))
    speculation = Speculation(compatibilities, roots, preferences=(locked or {}).items())
    place = place or folder(arguments)
    index = open_index(settings, arguments, store, speculation, place=place, on_fetch=on_fetch)
    inputs = Inputs(
        digest=digest(text, arguments),
        index_url=index.url,
        homes=index.homes,
        indexes=addresses(settings),
        requires_python=settings.requires_python,
        extras=tuple(sorted(settings.extras)),
        groups=tuple(sorted(settings.groups)),
        default_groups=settings.default_groups,
        target_names=settings.target_names,
        origin=origin,
        place=place,
    )
    with ExitStack() as stack:
        stack.callback(index.close)
        maker = None
        named = _named_by_address(settings)
        if settings.allow_sdist or settings.paths or any(".whl" not in each.url for each in named):
            from minglibc.cli.making import maker_of  # noqa: PLC0415  it stands on this module, and few projects build

            maker = stack.enter_context(maker_of(index, place, settings, arguments, builds=builds))
        if named or settings.paths:
            from minglibc.cli.seeding import seed  # noqa: PLC0415  few projects name addresses

            inputs = seed(index, settings, named, place, inputs)
        yield Work(settings, roots, compatibilities, policy_of(settings), index, inputs, maker)


def _named_by_address(settings: Settings) -> list[Requirement]:
    named = [
        *settings.requirements,
        *settings.overrides,
        *(
            each
            for found in (settings.extras, settings.groups)
            for requirements in found.values()
            for each in requirements
        ),
    ]
    return [each for each in named if each.url]


def roots_of(settings: Settings) -> tuple[Root, ...]:
    """Every requirement of pyproject.toml with who makes it."""
    named = {
        PROJECT: settings.requirements,
        **{EXTRA + name: found for name, found in settings.extras.items()},
        **{GROUP + name: found for name, found in settings.groups.items()},
    }
    return tuple(Root(requirement, asked_by) for asked_by, found in named.items() for requirement in found)


def compatibilities_of(
    settings: Settings, targets: "tuple[Target, ...] | list[Target]"
) -> tuple[TargetCompatibility, ...]:
    """A compatibility for each target under the settings' rules, the oldest machine first: its answer is tried on the others."""
    cutoff = Cutoff(
        _moment(settings.exclude_newer),
        {name: _moment(moment) for name, moment in settings.exclude_newer_package.items()},
    )
    ordered = sorted(targets, key=lambda t: (t.python, t.cap.libc, t.cap, t.architecture))
    first = TargetCompatibility(
        ordered[0],
        allow_linux_tag=settings.allow_linux_tag,
        allow_sdist=settings.allow_sdist,
        exclude_newer=cutoff,
    )
    return tuple(map(first.at, ordered))


def _moment(moment: object) -> str:
    """An upload time at or after this prefix is too new; without Z, fractions of a second sort after it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else ""  # type: ignore[attr-defined]


def policy_of(settings: Settings) -> Policy:
    """The settings' rules for choosing between candidates."""
    return Policy(
        settings.prereleases, settings.resolution, settings.constraints, settings.overrides, settings.excludes
    )
