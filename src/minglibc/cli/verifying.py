"""`tool.minglibc.verify`: every newly chosen wheel is read, and one whose files need more than its cap is passed over."""

from collections.abc import Callable, Collection, Iterable, Sequence

from minglibc.audit.binaries import Binaries
from minglibc.audit.rules import Kind, audit
from minglibc.cache.pages import Store
from minglibc.cli.locking import Locked, Work
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.index.downloads import LockedFile, Wheelhouse, file_of
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Reason, Rejection
from minglibc.model.targets import Target
from minglibc.resolve.resolver import Resolution

# What no machine at the cap can load; libraries that come from elsewhere (a driver's) are for `check` to tell.
LIES = frozenset((Kind.GLIBC, Kind.LIBSTDCXX, Kind.LIBGCC, Kind.MUSL, Kind.LINKED_GLIBC))


def solve_verified(
    found: Work,
    locked: Locked,
    arguments: Namespace,
    *,
    trusted: Collection[str] = (),
    on_target: Callable[[Target], None] = lambda target: None,  # noqa: ARG005
) -> list[Resolution]:
    """As ``Work.solve``, on builds and releases whose files keep their tag's word; *trusted* files were read before."""
    store = Store(cache_folder(arguments), on_trouble=lambda message: talk(arguments, f"warning: {message}"))
    lies: dict[str, str] = {}
    with Wheelhouse(
        cache_folder(arguments),
        offline=arguments.offline,
        credentials=found.source.credentials,
        on_warning=lambda message: talk(arguments, f"warning: {message}"),
    ) as house:
        while True:
            refused = {name: Rejection(Reason.UNUSABLE, f"its tag lies: {lie}") for name, lie in lies.items()}
            compatibilities = tuple(compatibility.rejecting(refused) for compatibility in found.compatibilities)
            answers = found._replace(compatibilities=compatibilities).solve(locked, on_target=on_target)
            fresh = _lies(found, answers, trusted, Binaries(store), house)
            if not fresh:
                return answers
            for filename, lie in fresh.items():
                talk(arguments, f"warning: {filename} is passed over, its tag lies: {lie}")
            lies |= fresh


def _lies(
    found: Work, answers: Sequence[Resolution], trusted: Collection[str], binaries: Binaries, house: Wheelhouse
) -> dict[str, str]:
    """The files that need more than the caps of the targets that have them."""
    wheels = {
        wheel.filename: wheel
        for answer in answers
        for wheel in answer.wheels.values()
        if wheel.filename not in trusted
        and wheel.filename.endswith(".whl")
        and not wheel.filename.endswith("-none-any.whl")
    }
    read = binaries.of_files(list(_locked_files(found, wheels.values())), house)
    lies: dict[str, str] = {}
    for answer in answers:
        for wheel in answer.wheels.values():
            for finding in audit(read.get(wheel.filename, ()), [answer.target.architecture], answer.target.cap):
                if finding.kind in LIES:
                    lies.setdefault(wheel.filename, f"{finding.path} needs {finding.version or finding.library}")
    return lies


def _locked_files(found: Work, wheels: Iterable[Artifact]) -> Iterable[LockedFile]:
    for wheel in wheels:
        yield file_of(wheel if wheel.hash else found.source.hashed(wheel))
