"""`minglibc bundle`: a folder, or an archive of one, that installs a target's wheels without network."""

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.pylock import PackageWheel
from packaging.utils import parse_wheel_filename

from minglibc.app.indexes import credentials_for, open_index
from minglibc.app.lock_request import overrides_from
from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.bundle import archive
from minglibc.bundle.contents import SUMS, WHEELS, check_pip, name_of, own_files, sums
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.cli.args import common_options
from minglibc.cli.options import Namespace, Parser, add_index, cache_folder, talk
from minglibc.cli.progress import Bars
from minglibc.cli.selection import add_part
from minglibc.cli.syncing import Source, locked_file, make, maker_for, read_source, select
from minglibc.config.parser import parse
from minglibc.errors import ResolutionError, SettingsError
from minglibc.index.client import DEFAULT_INDEX_URL
from minglibc.index.downloads import Wheelhouse
from minglibc.lock.locked_files import without_editable
from minglibc.lock.reader import Lock
from minglibc.lock.selection import describe_targets, find_targets
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolver import Unresolvable, resolve

if TYPE_CHECKING:
    from minglibc.app.source_builds import SourceBuilder
    from minglibc.lock.locked_files import Selection

_ARCHIVES = (".tar.gz", ".tgz")
_PIP = "pip"


def configure(parser: Parser) -> None:
    """The arguments of `bundle`."""
    add_part(parser)
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="the folder to make, or an archive X.tar.gz (default: bundle-TARGET)"
    )
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Gather the wheels, the lock, pip and install.sh; print where they are."""
    source = read_source(arguments)
    target = _one_target(source.lock, arguments.target)
    selected = select(source.lock, target, arguments)
    files = [locked_file(file, source.folder) for _, file in selected if isinstance(file, PackageWheel)]
    pip = _locked_pip(selected, source.folder) or _newest_pip(source, target, arguments)
    check_pip(pip.filename, target)
    output = arguments.output or name_of(target)
    bars = Bars(arguments)
    with (
        Wheelhouse(
            cache_folder(arguments),
            offline=arguments.offline,
            credentials=credentials_for(source.pyproject, source.lock, common_options(arguments).index_url),
            on_progress=bars.advance,
            on_warning=lambda message: talk(arguments, f"warning: {message}"),
        ) as house,
        ExitStack() as stack,
    ):
        with bars:
            paths = house.fetch(list({file.filename: file for file in (*files, pip)}.values()))
        if not all(isinstance(file, PackageWheel) for _, file in selected):
            maker = stack.enter_context(maker_for(source, [target], arguments))
            selected, built = _with_wheels(selected, source, target, maker)
            paths |= built
        own = own_files(target, selected, pip.filename, source.lock_text)
        wheels = {f"{WHEELS}/{name}": path for name, path in paths.items()}
        own[SUMS] = sums(archive.digests(own, wheels))
        if output.endswith(_ARCHIVES):
            digest = archive.write_archive(output, name_of(target), own, wheels)
            talk(arguments, f"sha256 {digest}")
        else:
            archive.write_folder(output, own, wheels)
    plural = "" if len(selected) == 1 else "s"
    talk(arguments, f"Bundled {len(selected)} package{plural} and {pip.filename} for {target}")
    print(os.path.abspath(output))
    return 0


def _with_wheels(
    selected: "Selection", source: Source, target: Target, maker: "SourceBuilder"
) -> "tuple[Selection, dict[str, str]]":
    """The selection with a built wheel in place of each source, and the paths of these wheels by file name."""
    wheels: Selection = []
    paths = {}
    for package, file in selected:
        if not isinstance(file, PackageWheel):
            made = make((package, without_editable(file)), source.folder, maker, target)
            paths[made.filename] = made.path
            wheel = PackageWheel(name=made.filename, path=made.filename, hashes={"sha256": made.sha256})
            # Of what version a folder is, its wheel says.
            version = parse_wheel_filename(made.filename)[1]
            wheels.append((replace(package, version=version), wheel))
        else:
            wheels.append((package, file))
    return wheels, paths


def _one_target(lock: Lock, name: str | None) -> Target:
    found = find_targets(name, lock.targets, lock.names)
    if len(found) > 1:
        raise SettingsError(
            f"a bundle is for one target, the lock has {len(found)}",
            hint=f"name it by --target; {describe_targets(lock.targets, lock.names)}",
        )
    return found[0]


def _locked_pip(selected: "Selection", folder: str) -> LockedFile | None:
    """The pip that the project itself requires: with it a bundle depends on nothing but the lock."""
    return next((locked_file(wheel, folder) for package, wheel in selected if package.name == _PIP), None)


def _newest_pip(source: Source, target: Target, arguments: Namespace) -> LockedFile:
    """The newest pip that runs on *target*, by the rules of the project's own settings."""
    remembered = overrides_from(source.lock.origin.given)
    settings = parse(source.pyproject, overrides=remembered) if source.pyproject is not None else None
    compatibility = compatibilities_of(settings, [target])[0] if settings else TargetCompatibility(target)
    roots = (Root(Requirement(_PIP), "the bundle"),)
    store = Store(cache_folder(arguments), on_trouble=lambda message: talk(arguments, f"warning: {message}"))
    locked = next((str(package.index) for package in source.lock.pylock.packages if package.index), "")
    fallback = locked or DEFAULT_INDEX_URL
    index = open_index(
        settings,
        common_options(arguments),
        store,
        Speculation([compatibility], roots),
        folder=source.folder,
        fallback=fallback,
    )
    try:
        wheel = resolve(roots, compatibility, index).wheels[_PIP]
        return file_of(wheel if wheel.hash else index.hashed(wheel))
    except Unresolvable as error:
        raise ResolutionError(
            f"the index has no pip that runs on {target}",
            hint="require pip in the project, or name another --index-url",
        ) from error
    finally:
        index.close()
