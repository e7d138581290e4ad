"""A project that is ready to be resolved: its settings, its opened indexes, and what its lock will record."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.indexes import index_addresses, open_index
from minglibc.app.lock_request import LockRequest
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.resolver_inputs import compatibilities_of, direct_requirements, policy_of, roots_of
from minglibc.cache.pages import Store
from minglibc.config.settings import Settings
from minglibc.index.client import Index
from minglibc.lock.document import Inputs
from minglibc.lock.source_files import digest
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Listing, TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Policy, Root
from minglibc.resolve.multi_target import Solve
from minglibc.resolve.resolution import Resolution
from minglibc.resolve.resolver import resolve

if TYPE_CHECKING:
    from minglibc.app.build_environment import BuildContext
    from minglibc.app.needed_sources import NeededSources
    from minglibc.app.source_builds import SourceBuilder
    from minglibc.resolve.prefetch import Speculation


def _no_metadata(sdist: Sdist) -> tuple[CoreMetadata, bool]:
    return CoreMetadata(sdist.name, sdist.version), False


def no_versions(_target: Target) -> Mapping[str, str]:
    """No version is preferred."""
    return {}


def _no_needs(_resolutions: Sequence[Resolution]) -> Mapping[str, str]:
    return {}


class Session(NamedTuple):
    """The inputs of a resolution."""

    settings: Settings
    roots: tuple[Root, ...]
    compatibilities: tuple[TargetCompatibility, ...]
    policy: Policy
    wheel_index: Index
    inputs: Inputs
    open_builder: "Callable[[], SourceBuilder]"
    """Opens a builder for any release of the indexes."""
    builder: "SourceBuilder | None" = None
    """None where nothing may be built from source."""
    solve: Solve = resolve
    """How one target is resolved."""
    is_listed: Listing | None = None
    """The check for the hashes that the files must have."""
    needs_above_cap: Callable[[Sequence[Resolution]], Mapping[str, str]] = _no_needs
    """With ``verify``: what selected wheels need beyond the cap of their target, by file name."""
    probable_metadata: Callable[[Sdist], tuple[CoreMetadata, bool]] = _no_metadata
    """The metadata of a source distribution as far as they are known without a build, and whether they are complete."""
    preferred: Callable[[Target], Mapping[str, str]] = no_versions
    """The versions of a source lock, by name."""
    without_wheels: Callable[[Target], Mapping[str, str]] = no_versions
    """Those of them that have no wheel for any machine."""
    explains: bool = True
    """Whether a failed resolution raises an explanation; otherwise Unresolvable."""

    @property
    def has_source_lock(self) -> bool:
        """Whether the lock is made from another tool's lock."""
        return self.preferred is not no_versions

    def restricted(self, targets: Collection[Target]) -> "Session":
        """The same for *targets* only."""
        return self._replace(compatibilities=tuple(check for check in self.compatibilities if check.target in targets))


@contextmanager
def open_session(
    request: LockRequest,
    common: CommonOptions,
    reporter: Reporter,
    *,
    preferences: Mapping[str, str] | None = None,
    builds: bool = False,
    is_listed: Listing | None = None,
    stops_for_sources: bool = False,
) -> Iterator[Session]:
    """Open the project that *request* describes; raises SettingsError with all of its mistakes.

    *preferences* are locked versions, whose metadata is fetched ahead. Without *builds* nothing is built from source, and
    the metadata of a source distribution is known only where it is static or where a build is cached. *is_listed* replaces
    the check for the hashes that the request has. With *stops_for_sources*, a build that reveals another package without
    a wheel ends the resolution with an error that names it.
    """
    settings = _settings(request, common, reporter, builds=builds)
    _report(settings, reporter)
    roots = roots_of(settings)
    listing = is_listed or _listing(request)
    compatibilities = compatibilities_of(settings, settings.targets, listing)
    speculation = partial(_speculation, compatibilities, roots, preferences or {})
    index = _open_index(request, common, settings, speculation, reporter)
    inputs = _inputs(request, settings, index)

    context = partial(_build_context, request, common, settings, index, reporter)
    needed = partial(_needed_sources, index, settings, compatibilities, listing) if stops_for_sources else None
    open_builder = partial(_open_builder, context, request, index, settings, builds=builds, needed=needed)
    with ExitStack() as stack:
        stack.callback(index.close)
        builder = None
        direct = direct_requirements(settings)
        if settings.allow_sdist or settings.paths or any(".whl" not in requirement.url for requirement in direct):
            builder = stack.enter_context(open_builder())
        if direct or settings.paths:
            from minglibc.app.direct_references import add_direct_references  # noqa: PLC0415  20 ms

            inputs = add_direct_references(index, settings, direct, inputs, builder)
        if request.loaded is not None:
            inputs = _with_source_lock(inputs, request)
        yield Session(
            settings,
            roots,
            compatibilities,
            policy_of(settings),
            index,
            inputs,
            open_builder,
            builder,
            is_listed=listing,
            probable_metadata=lambda sdist: _probable_metadata(sdist, context(), settings, index),
        )


def _settings(request: LockRequest, common: CommonOptions, reporter: Reporter, *, builds: bool) -> Settings:
    """The settings of the project, whose metadata are built if that is the only way to know its requirements."""
    settings = request.settings()
    if not settings.unbuilt:
        return settings
    from minglibc.app.project_metadata import built_fields  # noqa: PLC0415  150 ms, and few projects need it

    fields = built_fields(settings, request.folder, common, reporter, builds=builds)
    return request._replace(built=fields).settings()


def _speculation(
    compatibilities: Sequence[TargetCompatibility], roots: Sequence[Root], preferences: Mapping[str, str]
) -> "Speculation":
    from minglibc.resolve.prefetch import Speculation  # noqa: PLC0415  0.5 ms, where the cache has all pages

    return Speculation(compatibilities, roots, preferences=preferences.items())


def _open_index(
    request: LockRequest,
    common: CommonOptions,
    settings: Settings,
    speculation: "Callable[[], Speculation]",
    reporter: Reporter,
) -> Index:
    return open_index(
        settings,
        common,
        Store(common.cache_folder, on_trouble=reporter.warn),
        speculation,
        folder=request.folder,
        on_fetch=reporter.fetching,
        on_detail=reporter.details,
    )


def _report(settings: Settings, reporter: Reporter) -> None:
    for warning in settings.warnings:
        reporter.warn(warning)
    for note in settings.notes:
        reporter.info(note, level=1)


def _build_context(
    request: LockRequest, common: CommonOptions, settings: Settings, index: Index, reporter: Reporter
) -> "BuildContext":
    from minglibc.app.build_environment import BuildContext  # noqa: PLC0415  150 ms, and few projects build from source

    return BuildContext(common, request.folder, index.credentials, settings, index.url, reporter)


def _open_builder(
    context: "Callable[[], BuildContext]",
    request: LockRequest,
    index: Index,
    settings: Settings,
    *,
    builds: bool,
    needed: "Callable[[], NeededSources] | None",
) -> "SourceBuilder":
    from minglibc.app.source_builds import builder_for  # noqa: PLC0415  as above

    on_metadata = needed().check if needed is not None else lambda sdist, metadata: None  # noqa: ARG005
    return builder_for(index, settings.targets, context(), builds=builds, lock=request.path, on_metadata=on_metadata)


def _needed_sources(
    index: Index, settings: Settings, compatibilities: Sequence[TargetCompatibility], listing: Listing | None
) -> "NeededSources":
    from minglibc.app.needed_sources import NeededSources  # noqa: PLC0415  few locks build

    return NeededSources(index, settings, compatibilities, listing)


def _probable_metadata(
    sdist: Sdist, context: "BuildContext", settings: Settings, index: Index
) -> tuple[CoreMetadata, bool]:
    """What *sdist* requires as far as it is known without a build, for the hints of projects that can't be locked."""
    from minglibc.app.source_builds import SourceBuilder, release_of  # noqa: PLC0415  150 ms

    with SourceBuilder(context, settings.targets, builds=False) as reader:
        return reader.probable_metadata(release_of(sdist, index))


def _listing(request: LockRequest) -> Listing | None:
    """The check for the hashes of the source lock, or of the requirements files."""
    if request.loaded is None and not request.hashes:
        return None
    from minglibc.app.source_lock import ListedHashes  # noqa: PLC0415  imports the readers of all formats

    return ListedHashes(request.loaded.lock if request.loaded is not None else None, request.hashes).is_listed


def _with_source_lock(inputs: Inputs, request: LockRequest) -> Inputs:
    """*inputs* with the digest of the source lock, which the lock records unless it is in another folder."""
    assert request.loaded is not None
    if request.source.external:
        return inputs
    return inputs._replace(local={**inputs.local, request.loaded.path: request.loaded.sha256})


def _inputs(request: LockRequest, settings: Settings, index: Index) -> Inputs:
    return Inputs(
        digest=request.digest,
        index_url=index.url,
        package_indexes=index.homes,
        indexes=index_addresses(settings),
        requires_python=settings.requires_python,
        extras=tuple(sorted(settings.extras)),
        groups=tuple(sorted(settings.groups)),
        default_groups=settings.default_groups,
        target_names=settings.target_names,
        source=request.source,
        folder=request.folder,
        local={path: digest(os.path.join(request.folder, path)) for path in settings.files},
        default_python=settings.default_pythons is not None and settings.default_pythons.by_date,
    )
