"""``tool.minglibc.verify``: newly selected wheels are read, and those that need more than the cap or the processor are skipped."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.resolution import LockedVersions, resolve_session
from minglibc.app.session import Session
from minglibc.audit.binaries import Binaries
from minglibc.audit.rules import Binary, need_above
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.index.downloads import Wheelhouse
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Reason, Rejection
from minglibc.resolve.resolution import Resolution

# Wheels can be large, and a project builds its releases on one machine: after so many releases, no more are read.
_MOST_READ = 4


def resolve_verified(
    session: Session,
    locked: LockedVersions,
    common: CommonOptions,
    reporter: Reporter,
    *,
    trusted: Collection[str] = (),
) -> list[Resolution]:
    """One resolution per target without wheels whose binaries need more than the cap; *trusted* files are not read."""
    store = Store(common.cache_folder, on_trouble=reporter.warn)
    rejections: dict[str, Rejection] = {}
    skipped: dict[str, set[str]] = {}
    with Wheelhouse(
        common.cache_folder,
        offline=common.offline,
        credentials=session.wheel_index.credentials,
        on_warning=reporter.warn,
    ) as house:

        def needs_above_cap(resolutions: Sequence[Resolution]) -> dict[str, str]:
            wheels = _unverified(resolutions, trusted)
            binaries = Binaries(store).of_files(list(_locked_files(session, wheels)), house)
            return _needs_above_cap(resolutions, binaries, session.settings.cpu)

        while True:
            compatibilities = tuple(check.rejecting(rejections) for check in session.compatibilities)
            checked = session._replace(compatibilities=compatibilities, needs_above_cap=needs_above_cap)
            resolutions = resolve_session(checked, locked, reporter)
            needs = needs_above_cap(resolutions)
            if not needs:
                return resolutions
            for filename, need in needs.items():
                reporter.warn(f"skipped {filename}: its tag understates what it needs: {need}")
            rejections |= {
                filename: Rejection(Reason.UNUSABLE, f"its tag understates what it needs: {need}")
                for filename, need in needs.items()
            }
            for name in _often_rejected(resolutions, needs, skipped):
                reporter.warn(_stopped(name))
                rejections = {**_unread(session, name), **rejections}


def _often_rejected(
    resolutions: Sequence[Resolution], needs: Mapping[str, str], skipped: dict[str, set[str]]
) -> Iterator[str]:
    """The projects of which enough releases have been rejected; adds the new ones to *skipped*, versions by project."""
    selected = {wheel.filename: wheel for resolution in resolutions for wheel in resolution.artifacts.values()}
    for name in dict.fromkeys(selected[filename].name for filename in needs):
        versions = skipped.setdefault(name, set())
        versions |= {selected[filename].version for filename in needs if selected[filename].name == name}
        if len(versions) >= _MOST_READ:
            yield name


def _stopped(name: str) -> str:
    return (
        f"no more wheels of {name} are read: {_MOST_READ} releases need more than their tags say; "
        f'a constraint such as "{name}<VERSION" selects an older release'
    )


def _unread(session: Session, name: str) -> dict[str, Rejection]:
    """A rejection of each wheel of a project that may contain binaries."""
    page = session.wheel_index.project(name)
    reason = Rejection(
        Reason.UNUSABLE, f"it was not read, because {_MOST_READ} other releases need more than their tags say"
    )
    wheels = (
        page.wheel(index, position)
        for index in range(len(page.versions))
        for position in range(len(page.tag_sets(index)))
    )
    return {wheel.filename: reason for wheel in wheels if not wheel.filename.endswith("-none-any.whl")}


def _unverified(resolutions: Sequence[Resolution], trusted: Collection[str]) -> list[Artifact]:
    """The wheels that may contain binaries."""
    wheels = {
        wheel.filename: wheel
        for resolution in resolutions
        for wheel in resolution.artifacts.values()
        if wheel.filename not in trusted
        and wheel.filename.endswith(".whl")
        and not wheel.filename.endswith("-none-any.whl")
    }
    return list(wheels.values())


def _needs_above_cap(
    resolutions: Sequence[Resolution], binaries: Mapping[str, Sequence[Binary]], cpu: str
) -> dict[str, str]:
    """What wheels need beyond the cap of a target that they are selected for, or beyond the level *cpu*, by file name."""
    needs: dict[str, str] = {}
    for resolution in resolutions:
        target = resolution.target
        for wheel in resolution.artifacts.values():
            need = need_above(
                binaries.get(wheel.filename, ()), [target.architecture], target.cap, cpu, target.libstdcxx
            )
            if need:
                needs.setdefault(wheel.filename, need)
    return needs


def _locked_files(session: Session, wheels: Sequence[Artifact]) -> Iterator[LockedFile]:
    for wheel in wheels:
        yield file_of(wheel if wheel.hash else session.wheel_index.hashed(wheel))
