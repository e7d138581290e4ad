"""`minglibc check`: what binary files really need, held against the cap."""

import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.pylock import PackageWheel

from minglibc.app.indexes import credentials_for
from minglibc.audit.binaries import Binaries, is_conda, of_environment, of_wheel, wheels_in
from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary, Finding, Kind, Tally, audit, tally
from minglibc.cache.pages import Store
from minglibc.cli.args import common_options
from minglibc.cli.options import Namespace, Parser, add_targets, cache_folder, folder, talk
from minglibc.cli.progress import Bars
from minglibc.cli.selection import add_lock, asked_lock
from minglibc.cli.syncing import Source, locked_file, make, maker_for, read_lock_source
from minglibc.config import project_files
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides
from minglibc.errors import EXIT_CANNOT, EnvironmentProblem, SettingsError
from minglibc.index.downloads import Wheelhouse
from minglibc.install.environment import Environment
from minglibc.install.interpreter import inspect
from minglibc.lock.locked_files import without_editable
from minglibc.lock.reader import Lock
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import ARCHITECTURES, LIBCS, Cap, Target, check_architecture, oldest

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection

# By C library and architecture.
Caps = Mapping[tuple[str, str], Cap]


def configure(parser: Parser) -> None:
    """The arguments of `check`."""
    parser.add_argument("path", nargs="*", help="wheels, or folders of wheels (default: every wheel of the lock)")
    parser.add_argument("--environment", metavar="PATH", help="check an environment, or the one of an interpreter")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)


class Checked(NamedTuple):
    """What was held against which caps, and what was found."""

    what: str
    caps: Caps
    findings: list[Finding]
    counts: Tally
    packed: tuple[str, ...] = ()
    """The distributions for musl whose files want a late patch release of it."""


def run(arguments: Namespace) -> int:
    """Print what the files need beyond the cap; 1 where anything does."""
    if arguments.environment and arguments.path:
        raise SettingsError("--environment and paths of wheels are checked one at a time")
    if arguments.environment:
        checked = check_environment(arguments.environment, arguments)
    elif arguments.path:
        checked = check_wheels(arguments.path, arguments)
    else:
        asked = asked_lock(arguments)
        checked = check_lock(asked.lock, asked.folder, arguments)
    tell(checked, arguments)
    return EXIT_CANNOT if checked.findings else 0


def check_lock(lock: Lock, place: str, arguments: Namespace, *, builds: bool = True) -> Checked:
    """Every wheel of the lock in the folder *place*, with the wheels that are installed beside it on each target.

    Of a source or a folder it is what is built of it; without *builds*, what was built before.
    """
    targets = [_recapped(target, arguments) for target in lock.targets]
    chosen = {
        target: lock.select(before, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
        for before, target in zip(lock.targets, targets, strict=True)
    }
    wanted = {
        file.filename: locked_file(file, place)
        for selected in chosen.values()
        for _, file in selected
        if isinstance(file, PackageWheel)
    }
    store = Store(cache_folder(arguments), on_trouble=lambda message: talk(arguments, f"warning: {message}"))
    bars = Bars(arguments)
    with (
        Wheelhouse(
            cache_folder(arguments),
            offline=arguments.offline,
            credentials=credentials_for(
                read_lock_source(lock, place, alone=True), lock, common_options(arguments).index_url
            ),
            on_progress=bars.advance,
            on_warning=lambda message: talk(arguments, f"warning: {message}"),
        ) as house,
        bars,
    ):
        binaries = Binaries(store).of_files(list(wanted.values()), house)
    built = _built(lock, chosen, place, arguments, builds=builds)
    findings: list[Finding] = []
    for target, selected in chosen.items():
        together = [binary for _, file in selected for binary in binaries.get(file.filename, ())]
        together += [binary for wheel in built[target] for binary in wheel]
        findings += audit(together, [target.architecture], target.cap)
    everything = [binary for found in binaries.values() for binary in found]
    everything += [binary for wheels in built.values() for wheel in wheels for binary in wheel]
    caps = _lowest(targets)
    count = len(wanted) + len({file.filename for selected in chosen.values() for _, file in selected} - wanted.keys())
    plural = "" if count == 1 else "s"
    return Checked(f"{count} wheel{plural}", caps, _once(findings), _tally(everything, caps), _packed(everything, caps))


def _built(
    lock: Lock, chosen: "Mapping[Target, Selection]", place: str, arguments: Namespace, *, builds: bool
) -> dict[Target, list[list[Binary]]]:
    """The binaries of each wheel that is built of a target's sources."""
    found: dict[Target, list[list[Binary]]] = {target: [] for target in chosen}
    if not any(package.sdist or package.directory for package in lock.pylock.packages):
        return found
    from minglibc.app.source_builds import IncompatibleBuild  # noqa: PLC0415  few locks have sources

    source = Source(place, read_lock_source(lock, place, alone=True), "", lock)
    with maker_for(source, list(chosen), arguments, builds=builds) as maker:
        for target, selected in chosen.items():
            for package, file in selected:
                if isinstance(file, PackageWheel):
                    continue
                try:
                    # What it needs is for the audit to say.
                    made = make((package, without_editable(file)), place, maker, target.uncapped)
                except IncompatibleBuild as error:
                    talk(arguments, f"warning: {file.filename} is not checked for {target}: it {error.reason.text}")
                else:
                    found[target].append(of_wheel(made.path, made.filename))
    return found


def check_wheels(paths: Sequence[str], arguments: Namespace) -> Checked:
    """The wheels at *paths*, each for itself: what one brings is no help to another."""
    caps = _asked_caps(arguments)
    wheels = [wheel for path in paths for wheel in wheels_in(path)]
    findings: list[Finding] = []
    everything: list[Binary] = []
    for wheel in wheels:
        binaries = of_wheel(wheel, os.path.basename(wheel))
        findings += _audit(binaries, _of_libcs(caps, lowest_libcs(os.path.basename(wheel)[:-4])))
        everything += binaries
    plural = "" if len(wheels) == 1 else "s"
    return Checked(
        f"{len(wheels)} wheel{plural}", caps, _once(findings), _tally(everything, caps), _packed(everything, caps)
    )


def check_environment(path: str, arguments: Namespace) -> Checked:
    """Every binary below an environment's prefix, whoever put it there."""
    environment = Environment(inspect(_interpreter(path)))
    owners = {place: f"{each.name} {each.version}" for each in environment.distributions() for place in each.record}
    layout = environment.layout
    # What lies beside the packages of a system's own Python is the system's.
    whole = environment.interpreter.is_environment or is_conda(layout.prefix)
    places = [""] if whole else [layout.purelib, layout.platlib]
    binaries = list(of_environment(layout.prefix, owners, places))
    libc = environment.interpreter.machine.libc
    caps = _of_libcs(_asked_caps(arguments), {libc.libc} if libc else ())
    return Checked(path, caps, _once(_audit(binaries, caps)), _tally(binaries, caps), _packed(binaries, caps))


def _interpreter(path: str) -> str:
    if not os.path.isdir(path):
        return path
    executable = os.path.join(path, "bin", "python")
    if not os.path.exists(executable):
        raise EnvironmentProblem(
            f"{path} has no bin/python", hint="name an environment's folder, or an interpreter, by --environment"
        )
    return executable


def _asked_caps(arguments: Namespace) -> Caps:
    """The cap of each architecture: what the options say, else the lowest of the lock that is named, or of the project."""
    architectures = [check_architecture(name) for name in arguments.arch or ()]
    given = [LIBCS[libc].parse(text) for libc in LIBCS if (text := getattr(arguments, libc))]
    if given:
        return {(cap.libc, name): cap for cap in given for name in architectures or ARCHITECTURES}
    if arguments.lock:
        return _lowest(asked_lock(arguments).lock.targets)
    overrides = Overrides(architectures=tuple(architectures), python=tuple(arguments.python or ()))
    settings = parse(project_files.read_pyproject(folder(arguments)), overrides=overrides)
    return _lowest(settings.targets)


def _recapped(target: Target, arguments: Namespace) -> Target:
    given = getattr(arguments, target.cap.libc)
    if not given:
        return target
    return target._replace(cap=oldest(target.architecture, target.cap.libc)).raised(LIBCS[target.cap.libc].parse(given))


def _lowest(targets: Iterable[Target]) -> Caps:
    caps: dict[tuple[str, str], Cap] = {}
    for target in targets:
        key = target.cap.libc, target.architecture
        caps[key] = min(target.cap, caps.get(key, target.cap))
    return caps


def _of_libcs(caps: Caps, libcs: Collection[str]) -> Caps:
    """The caps on *libcs*; all of them where there is none, or where no C library is known."""
    return {key: cap for key, cap in caps.items() if key[0] in libcs} or caps


def _audit(binaries: Sequence[Binary], caps: Caps) -> list[Finding]:
    return [finding for (_, architecture), cap in caps.items() for finding in audit(binaries, [architecture], cap)]


def _packed(binaries: Iterable[Binary], caps: Caps) -> tuple[str, ...]:
    asked = {architecture for libc, architecture in caps if libc == "musl"}
    found = [(each.distribution, each.content) for each in binaries if isinstance(each.content, ElfFile)]
    packed = [name for name, elf in found if elf.architecture in asked and elf.relr and not elf.glibc]
    return tuple(dict.fromkeys(packed))


def _tally(binaries: Iterable[Binary], caps: Caps) -> Tally:
    return tally(binaries, {architecture for _, architecture in caps})


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.distribution, finding.path))


def tell(checked: Checked, arguments: Namespace) -> None:
    """The findings on stdout, the count on stderr."""
    if arguments.json:
        print(json.dumps(as_json(checked), indent=2))
    else:
        for finding in checked.findings:
            print(_line(finding))
    counts = checked.counts
    caps = _spoken(checked.caps)
    found = f"{len(checked.findings)} finding{'' if len(checked.findings) == 1 else 's'}"
    foreign = f"; {counts.skipped} for other machines left aside" if counts.skipped else ""
    talk(arguments, f"Held {counts.checked} binaries of {checked.what} against {caps}: {found}{foreign}")
    if checked.packed:
        # No tag and no cap tells 1.2.4 from 1.2.3.
        talk(arguments, f"note: musl before 1.2.4 can't load files of {', '.join(checked.packed)} (DT_RELR)")
    if checked.findings and not arguments.quiet:
        print(f"hint: {_hint(checked, arguments)}", file=sys.stderr)


def _spoken(caps: Caps) -> str:
    """``glibc 2.17, 2.28 and musl 1.2``."""
    by_libc = {libc: sorted({cap for (other, _), cap in caps.items() if other == libc}) for libc, _ in sorted(caps)}
    return " and ".join(f"{libc} {', '.join(map(str, found))}" for libc, found in by_libc.items())


def _line(finding: Finding) -> str:
    lift = f"; glibc {finding.lowest_cap} has it" if finding.lowest_cap else ""
    where = str(finding) if finding.distribution else str(finding).removeprefix(": ")
    return f"{where}{lift}"


def _hint(checked: Checked, arguments: Namespace) -> str:
    if arguments.environment:
        return "`minglibc sync` puts the locked wheels, which keep within the cap, in their place"
    caps = [finding.lowest_cap for finding in checked.findings]
    if all(caps):
        return f"a cap of {max(cap for cap in caps if cap)} has all of this; else require other releases"
    return "require other releases of these; no cap alone makes them safe"


def as_json(checked: Checked) -> dict[str, Any]:
    """What was checked in the form that docs/reference/json/check.schema.json describes."""
    return {
        "checked": checked.what,
        "caps": _of_libc("glibc", checked.caps),
        "musl-caps": _of_libc("musl", checked.caps),
        "binaries": {
            "held": checked.counts.checked,
            "static": checked.counts.static,
            "foreign": checked.counts.skipped,
            "unreadable": checked.counts.unreadable,
        },
        "findings": [finding_as_json(finding) for finding in checked.findings],
    }


def _of_libc(libc: str, caps: Caps) -> dict[str, str]:
    return {architecture: str(cap) for (other, architecture), cap in caps.items() if other == libc}


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """One finding; what does not apply is an empty string or null."""
    return {
        "distribution": finding.distribution,
        "path": finding.path,
        "kind": _KIND_NAMES[finding.kind],
        "library": finding.library,
        "version": finding.version,
        "symbols": list(finding.symbols),
        "lowest-cap": str(finding.lowest_cap) if finding.lowest_cap else None,
        "detail": finding.detail,
    }


_KIND_NAMES = {kind: kind.value.replace(" ", "-") for kind in Kind}
