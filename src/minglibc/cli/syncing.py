"""An environment that holds exactly the lock's wheels: what it takes, and what `sync`, `run` and their like do about it."""

import os
import re
import signal
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.pylock import Package, PackageWheel, PylockSelectError

from minglibc.cli.args import common_options
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.cli.selection import ENVIRONMENT, HARDLINK, asked_lock, selection
from minglibc.config import project_files
from minglibc.config.settings import Overrides
from minglibc.errors import EnvironmentProblem, LockError, SettingsError, WheelError
from minglibc.install import interpreter as interpreters
from minglibc.install import proof, transaction
from minglibc.install.environment import Distribution, Environment
from minglibc.install.interpreter import Interpreter
from minglibc.install.plan import Action, Installed, Plan, Step, Wanted, plan, unmet
from minglibc.install.transaction import Prepared, direct_url
from minglibc.lock import source_files
from minglibc.lock.digest import is_current
from minglibc.lock.locked_files import LockedFolder, version_of
from minglibc.lock.reader import Lock
from minglibc.lock.selection import MachineProblem, check_python, choose_target, describe_targets, find_targets
from minglibc.model.artifacts import HASH_ALGORITHMS
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import GlibcVersion, Target

if TYPE_CHECKING:
    from minglibc.app.source_builds import SourceBuilder
    from minglibc.cache.built_wheels import Built
    from minglibc.cache.wheels import LockedFile as FetchedFile
    from minglibc.install.wheel import CheckedWheel
    from minglibc.lock.locked_files import LockedFile, Selection

# The installer that a person may have put there to look around with; it is no part of any lock.
_SPARED = "pip"


class Source(NamedTuple):
    """A project's folder, the texts of its two files, and the lock that one of them is."""

    folder: str
    pyproject: str | None
    lock_text: str
    lock: Lock


class Place(NamedTuple):
    """Where to install: a folder to be made into an environment, or none; the interpreter; the target."""

    create: str | None
    interpreter: Interpreter
    target: Target

    @property
    def prefix(self) -> str:
        """The environment's folder."""
        return self.create or self.interpreter.layout.prefix


class Work(NamedTuple):
    """What an environment is to hold."""

    source: Source
    target: Target
    packages: "Selection"


class Look(NamedTuple):
    """What there is to do in an environment, and what was found in it."""

    plan: Plan
    changed: bool
    found: Sequence[Distribution] = ()
    foreign: bool = False  # whether something that stays came from another installer

    @property
    def leaving(self) -> list[Distribution]:
        """What a step takes out."""
        names = set(self.plan.names(Action.REINSTALL, Action.REMOVE))
        return [each for each in self.found if each.name in names]

    @property
    def staying(self) -> list[Distribution]:
        """What no step takes out."""
        names = {each.name for each in self.leaving}
        return [each for each in self.found if each.name not in names]


class Outcome(NamedTuple):
    """What a sync found and did."""

    prefix: str
    executable: str
    is_environment: bool
    target: Target
    plan: Plan
    changed: bool
    seconds: float


def synchronize(arguments: Namespace) -> Outcome:
    """Bring the environment to its lock; with --dry-run or --check, only find out what that would take."""
    began = time.monotonic()
    source = read_source(arguments)
    place = find_place(arguments, source)
    work = Work(source, place.target, select(source.lock, place.target, arguments))
    needed = {f"{package.name} {package.version}": package.requires_python for package, _ in work.packages}
    check_python(place.interpreter.machine, {name: str(python) for name, python in needed.items() if python})
    if arguments.dry_run or arguments.check:
        environment = None if place.create else Environment(place.interpreter)
        look = _look(environment, work, arguments)
        return _outcome(place, environment, look.plan, began, changed=look.changed)
    with transaction.locked(place.prefix, lambda holder: talk(arguments, f"waiting for another sync ({holder})")):
        environment = _open(place, arguments)
        recovered = transaction.recover(environment)
        if recovered:
            talk(arguments, "put right what an interrupted sync had left", level=1)
        look = _look(environment, work, arguments)
        arrived: Sequence[CheckedWheel] = ()
        if look.changed:
            _warn_of_interpreter(place, arguments)
            proof.remove(place.prefix)
            arrived = _change(environment, look, work, arguments)
            _warn_of_packed(environment, look.plan, arguments)
        if arguments.compile_bytecode:
            interpreters.compile_bytecode(environment.interpreter)
        _write_proof(environment, work, look, arrived, arguments)
    return _outcome(place, environment, look.plan, began, changed=look.changed or recovered)


def _outcome(place: Place, environment: Environment | None, steps: Plan, began: float, *, changed: bool) -> Outcome:
    interpreter = environment.interpreter if environment else place.interpreter
    is_environment = bool(place.create) or interpreter.is_environment
    prefix = interpreter.layout.prefix if environment else place.prefix
    return Outcome(
        prefix, interpreter.executable, is_environment, place.target, steps, changed, time.monotonic() - began
    )


# What is asked for


def read_source(arguments: Namespace) -> Source:
    """The project and its lock; raises LockError where there is none, or a stale one."""
    asked = asked_lock(arguments)
    lock = asked.lock
    pyproject = read_lock_source(lock, asked.folder, alone=arguments.frozen)
    if pyproject is not None and not arguments.frozen:
        changed = source_files.changed(asked.text, asked.folder) if source_files.lists_any(asked.text) else []
        changed += [] if _is_fresh(lock, pyproject) else [lock.origin.name]
        if changed:
            raise LockError(
                f"{asked.name} is stale: {changed[-1]} has changed since",
                hint=f"run `{lock.origin.command}`, or take the lock as it is with --frozen",
            )
    return Source(asked.folder, pyproject, asked.text, lock)


def read_lock_source(lock: Lock, folder: str, *, alone: bool) -> str | None:
    """What *lock* was made from, in the words of a pyproject.toml; None where that is not there and the lock may be *alone*."""
    try:
        if lock.origin.is_project:
            return project_files.read_pyproject(folder)
        from minglibc.config import inputs  # noqa: PLC0415  few locks are of anything but a project

        return inputs.read(lock.origin, folder).pyproject
    except SettingsError:
        if alone:
            return None
        raise


def _is_fresh(lock: Lock, pyproject: str) -> bool:
    if is_current(lock.inputs, pyproject) or is_current(lock.inputs, pyproject, lock.origin.given):
        return True
    variables = (os.environ.get(name, "") for name in proof.TARGET_VARIABLES)
    glibc, musl, pythons, architectures = (tuple(text.replace(",", " ").split()) for text in variables)
    overrides = Overrides(glibc[0] if glibc else None, musl[0] if musl else None, pythons, architectures)
    return is_current(lock.inputs, pyproject, overrides.given)


def select(lock: Lock, target: Target, arguments: Namespace) -> "Selection":
    """The files that *target* gets with these extras and groups."""
    known = {str(name) for name in lock.pylock.extras or ()}
    extras = known if arguments.all_extras else {normalize_name(name) for name in arguments.extra or ()}
    _check_known("extra", extras, known)
    groups = [] if arguments.no_default_groups else list(lock.pylock.default_groups or ())
    asked = [_as_locked(name, lock.pylock.dependency_groups or ()) for name in arguments.group or ()]
    _check_known("dependency group", asked, lock.pylock.dependency_groups or ())
    try:
        return lock.select(target, extras=sorted(extras), groups=[*groups, *asked])
    except PylockSelectError as error:
        raise LockError(f"the lock does not serve {target}: {error}", hint="run `minglibc lock`") from error


def _as_locked(group: str, known: Iterable[str]) -> str:
    return next((name for name in known if normalize_name(name) == normalize_name(group)), group)


def _check_known(what: str, asked: Iterable[str], known: Iterable[str]) -> None:
    if missing := sorted(set(asked) - set(known)):
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise SettingsError(f"the lock has no {what} {missing[0]!r}", hint=has)


# Where it goes


def find_place(arguments: Namespace, source: Source) -> Place:
    """The interpreter to install for, and the environment to make where there is none; raises EnvironmentProblem."""
    given = arguments.python or os.path.join(source.folder, ENVIRONMENT)
    if arguments.python and os.sep not in given and not os.path.isdir(given):
        return _place_of(_on_path(given), source, arguments)
    if os.path.isfile(given):
        return _place_of(given, source, arguments)
    given = os.path.abspath(given)
    executable = os.path.join(given, "bin", "python")
    if not interpreters.is_creatable(given):
        if not os.path.lexists(executable):
            hint = "choose another folder, or delete this one"
            raise EnvironmentProblem(f"{given} is not empty and is no environment", hint=hint)
        return _place_of(executable, source, arguments, rebuilt=given)
    if arguments.python and os.path.basename(os.path.dirname(given)) == "bin":
        raise EnvironmentProblem(
            f"there is no interpreter {given}", hint="name one that exists, or a folder to be made"
        )
    return _new_place(given, source, arguments)


def _on_path(name: str) -> str:
    from shutil import which  # noqa: PLC0415  paid for only where it is needed

    found = which(name)
    if not found:
        raise EnvironmentProblem(f"there is no {name} on PATH", hint="give the interpreter's whole path to --python")
    return found


def _place_of(executable: str, source: Source, arguments: Namespace, *, rebuilt: str = "") -> Place:
    interpreter = _inspect(executable, rebuilt, arguments)
    if interpreter.externally_managed:
        raise EnvironmentProblem(
            f"{executable} belongs to the system's own package manager (PEP 668)",
            hint="let minglibc make an environment: leave --python out, or name a folder",
        )
    try:
        target = choose_target(interpreter.machine, source.lock.targets, arguments.target or "", source.lock.names)
    except EnvironmentProblem as error:
        if rebuilt and not isinstance(error, MachineProblem):
            error.hint = f"{error.hint}; or delete {rebuilt}, and sync makes it anew"
        raise
    return Place(None, interpreter, target)


def _inspect(executable: str, rebuilt: str, arguments: Namespace) -> Interpreter:
    only_looks = getattr(arguments, "check", False) or getattr(arguments, "dry_run", False)
    try:
        return interpreters.inspect(executable, (lambda: None) if only_looks else _get_ready)
    except EnvironmentProblem as error:
        if rebuilt:
            error.hint = f"delete {rebuilt}, and sync makes it anew"
        raise


def _get_ready() -> None:
    """Import what a change will probably need, before it forks what would else import it again."""
    from minglibc.cache import unpacked_wheels as unpacked  # noqa: F401, PLC0415
    from minglibc.index import downloads  # noqa: F401, PLC0415
    from minglibc.install import unpack  # noqa: F401, PLC0415


def _new_place(folder: str, source: Source, arguments: Namespace) -> Place:
    name = arguments.target or ""
    tried: list[str] = []
    targets = find_targets(name, source.lock.targets, source.lock.names)
    for executable in interpreters.find_interpreters(target.python for target in targets):
        try:
            interpreter = interpreters.inspect(executable, _get_ready)
            target = choose_target(interpreter.machine, source.lock.targets, name, source.lock.names)
        except (MachineProblem, SettingsError):
            raise
        except EnvironmentProblem as error:
            tried.append(f"{executable}: {error.message}")
        else:
            return Place(folder, interpreter, target)
    raise EnvironmentProblem(
        "no interpreter on PATH fits the lock:\n" + "\n".join(f"  {line}" for line in tried),
        hint=f"{describe_targets(source.lock.targets, source.lock.names)}; "
        "put one's Python on PATH, or name it by --python",
    )


def _open(place: Place, arguments: Namespace) -> Environment:
    if place.create is None:
        return Environment(place.interpreter)
    if not interpreters.is_creatable(place.create):  # somebody made it while this process waited
        return Environment(interpreters.inspect(os.path.join(place.create, "bin", "python")))
    talk(arguments, f"Creating an environment at {place.create} with CPython {place.interpreter.machine.python}")
    return Environment(interpreters.create(place.create, place.interpreter.executable))


def _warn_of_interpreter(place: Place, arguments: Namespace) -> None:
    """An environment for older machines is of no use there when its interpreter does not start."""
    needs = _glibc_of(place.interpreter.executable, arguments)
    if needs and isinstance(place.target.cap, GlibcVersion) and needs > place.target.cap:
        talk(
            arguments,
            f"warning: the interpreter {place.interpreter.executable} itself needs glibc {needs}, the cap is "
            f"{place.target.cap}: older machines that share this environment need their own Python at that path",
        )


def _glibc_of(program: str, arguments: Namespace) -> GlibcVersion | None:
    """The glibc that *program* needs; the cache remembers it as long as the file is the same."""
    from minglibc.cache.pages import Store  # noqa: PLC0415  only a change is worth the warning

    try:
        with open(os.path.realpath(program), "rb") as file:
            status = os.fstat(file.fileno())
            identity = f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
            store = Store(cache_folder(arguments))
            needs = store.recall("interpreters", identity)
            if needs is None:
                from minglibc.audit.elf import MalformedElf, read_elf  # noqa: PLC0415  the same
                from minglibc.audit.rules import highest_glibc  # noqa: PLC0415  reading ELF files takes long to import

                with suppress(MalformedElf):
                    needs = highest_glibc(read_elf(file))
                store.note("interpreters", identity, needs or [])
    except OSError:
        return None
    return GlibcVersion(*needs) if needs else None


def _warn_of_packed(environment: Environment, steps: Plan, arguments: Namespace) -> None:
    """What has packed relocations, which no tag tells, crashes at import under musl before 1.2.4, which passes over them."""
    old = re.match(r"musl 1\.(?:[01]\.|2\.[0-3](?![0-9]))", environment.interpreter.libc)
    if not old:
        return
    from minglibc.audit.elf import ElfFile  # noqa: PLC0415  only old machines are looked after

    arrived = set(steps.names(Action.INSTALL, Action.REINSTALL))
    packed = [
        f"{each.name} {each.version}"
        for each in environment.distributions()
        if each.name in arrived
        and any(isinstance(found.content, ElfFile) and found.content.relr for found in environment.binaries(each))
    ]
    if packed:
        talk(
            arguments,
            f"warning: this machine has {environment.interpreter.libc}, which can't load files of {', '.join(packed)}: "
            "their DT_RELR is for musl 1.2.4 and newer",
        )


# What it takes


def _look(environment: Environment | None, work: Work, arguments: Namespace) -> Look:
    """What is there, and what there is to do."""
    wanted = [
        Wanted(
            package.name,
            version_of(package) or f"@ {file.filename}",
            file.filename,
            _digest(file, work.source.folder),
            isinstance(file, LockedFolder),
        )
        for package, file in work.packages
    ]
    found = environment.distributions() if environment else []
    spare = {_SPARED, _own_name(work.source.pyproject)}

    def steps(above: dict[str, str]) -> Plan:
        return plan(
            wanted,
            [_installed(each, above.get(each.name, "")) for each in found],
            work.target,
            inexact=arguments.inexact,
            spare=spare,
        )

    own = _own_step(work, found, arguments)
    first = steps({}).with_step(own)
    if environment is None:
        return Look(first, changed=True)
    digests = {wheel.name: wheel.digest for wheel in wanted}
    kept = set(first.names(Action.KEEP))
    foreign = [each for each in found if each.name in kept and each.digest != digests.get(each.name, each.digest)]
    above = {each.name: _above_cap(environment, each, work.target) for each in foreign}
    result = steps(above).with_step(own) if foreign else first
    return Look(result, bool(result.changes) or transaction.is_interrupted(environment), found, bool(foreign))


def _own_step(work: Work, found: list[Distribution], arguments: Namespace) -> Step | None:
    """What happens to the project itself, which has no place in its own lock."""
    if arguments.no_install_project or "build-system" not in (work.source.pyproject or ""):
        return None
    from minglibc.cli import own_project  # noqa: PLC0415  most projects are no packages

    return own_project.due(work.source, found)


def _installed(distribution: Distribution, above_cap: str) -> Installed:
    return Installed(
        distribution.name,
        distribution.version,
        distribution.tags,
        distribution.digest,
        distribution.damage,
        distribution.direct_url,
        above_cap,
    )


def _above_cap(environment: Environment, distribution: Distribution, target: Target) -> str:
    from minglibc.audit.elf import ElfFile  # noqa: PLC0415  the same
    from minglibc.audit.rules import incompatibility  # noqa: PLC0415  only other installers' work is looked into

    for binary in environment.binaries(distribution):
        why = incompatibility(binary.content, target.cap) if isinstance(binary.content, ElfFile) else ""
        if why:
            return f"{binary.path} {why}"
    return ""


def _own_name(pyproject: str | None) -> str:
    """The project's own name: installed by hand for development, it is no part of its own lock."""
    return normalize_name(str(_table(pyproject, "project").get("name", "")))


def _overruled(pyproject: str | None) -> frozenset[str]:
    """The projects whose place in the lock the settings decide, whatever their dependents' metadata says."""
    table = _table(pyproject, "tool", "minglibc")
    overrides = [re.split(r"[^A-Za-z0-9._-]", str(text).strip(), maxsplit=1)[0] for text in table.get("overrides", ())]
    return frozenset(normalize_name(str(name)) for name in [*overrides, *table.get("excludes", ())])


def _table(pyproject: str | None, *names: str) -> dict[str, Any]:
    # With --frozen nothing has looked at this file yet, and nothing needs to be right in it.
    try:
        table: Any = tomllib.loads(pyproject or "")
    except tomllib.TOMLDecodeError:
        return {}
    for name in names:
        table = table.get(name, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def locked_file(wheel: "LockedFile", folder: str) -> "FetchedFile":
    """A file of the lock in *folder*, as a wheelhouse fetches it."""
    from minglibc.cache.wheels import LockedFile  # noqa: PLC0415  the same
    from minglibc.index.local_files import url_of  # noqa: PLC0415  only a change needs files

    return LockedFile(wheel.filename, url_of(wheel.url, wheel.path, folder), wheel.hashes, wheel.size)


def _digest(wheel: "LockedFile", folder: str) -> str:
    """What identifies the file of a lock in *folder*; a lock that has no hash for it was refused when it was read."""
    if isinstance(wheel, LockedFolder):
        from minglibc.build import source_tree  # noqa: PLC0415  few projects have neighbours

        return source_tree.state(place_of(wheel, folder), editable=wheel.editable)
    algorithm = next(each for each in HASH_ALGORITHMS if each in wheel.hashes)
    return f"{algorithm}:{wheel.hashes[algorithm].lower()}"


def _change(environment: Environment, look: Look, work: Work, arguments: Namespace) -> "list[CheckedWheel]":
    """Do what there is to do; what arrived."""
    from minglibc.app.indexes import credentials_for  # noqa: PLC0415  the same
    from minglibc.cache import unpacked_wheels as unpacked  # noqa: PLC0415  most syncs have nothing to fetch
    from minglibc.cli.progress import Bars  # noqa: PLC0415  the same
    from minglibc.index.downloads import Wheelhouse  # noqa: PLC0415  the same

    arriving = set(look.plan.names(Action.INSTALL, Action.REINSTALL))
    coming = [(package, file) for package, file in work.packages if package.name in arriving]
    wheels = [file for _, file in coming if isinstance(file, PackageWheel)]
    here = work.source.folder
    staying = look.staying
    bars = Bars(arguments)
    house = Wheelhouse(
        cache_folder(arguments),
        offline=arguments.offline,
        credentials=credentials_for(work.source.pyproject, work.source.lock, common_options(arguments).index_url),
        on_progress=bars.advance,
        on_warning=lambda text: talk(arguments, f"warning: {text}"),
    )
    kept = unpacked.home(cache_folder(arguments), environment.layout.prefix) if arguments.link_mode == HARDLINK else ""
    files = [locked_file(wheel, here) for wheel in wheels]
    positions = {file.filename: position for position, file in enumerate(files)}

    def arrive(file: "FetchedFile", path: str) -> None:
        position = positions[file.filename]
        take(position, _prepared(path, wheels[position], here, kept))

    with house, transaction.begin(environment) as change, ExitStack() as stack:
        with change.unpacking([file.size for file in files]) as take, bars:
            house.fetch(files, arrive)
        prepared = list[Prepared]()
        if len(coming) > len(wheels):
            maker = stack.enter_context(maker_for(work.source, [work.target], arguments))
            for package, file in coming:
                if not isinstance(file, PackageWheel):
                    prepared.append(_made(package, file, work, maker, environment.interpreter))
        if _own_name(work.source.pyproject) in arriving:
            from minglibc.cli import own_project  # noqa: PLC0415  most projects are no packages

            made = own_project.built(work.source, environment.interpreter, work.target, arguments)
            prepared.append(stack.enter_context(made))
        arrived = change.prepare(prepared, staying)
        locked = {str(package.name): version_of(package) for package, _ in work.packages}
        # What a folder holds by now was not locked.
        ignored = _overruled(work.source.pyproject) | {name for name, version in locked.items() if not version}
        for checked in arrived:
            _check_needs(checked, unmet(checked.requires, locked, work.target, ignored))
            # The lock says it where all wheels of a package agree; each wheel says it for itself.
            check_python(
                environment.interpreter.machine, {f"{checked.name} {checked.version}": checked.requires_python}
            )
        with _undisturbed():
            change.apply(look.leaving, staying)
    return arrived


def _prepared(path: str, wheel: PackageWheel, folder: str, kept: str) -> Prepared:
    digest = _digest(wheel, folder)
    return Prepared(path, wheel.filename, digest, unpacked=kept and os.path.join(kept, digest.replace(":", "-")))


def _made(
    package: Package, file: "LockedFile", work: Work, maker: "SourceBuilder", interpreter: Interpreter
) -> Prepared:
    """The wheel that is built of a source or a folder."""
    here = work.source.folder
    # What changes while it is built is seen by the next sync.
    digest = _digest(file, here)
    built = make((package, file), here, maker, work.target, interpreter)
    if not isinstance(file, LockedFolder):
        return Prepared(built.path, built.filename, digest)
    return Prepared(built.path, built.filename, digest, direct_url(place_of(file, here), editable=file.editable))


def make(
    locked: "tuple[Package, LockedFile]",
    folder: str,
    maker: "SourceBuilder",
    target: Target,
    interpreter: Interpreter | None = None,
) -> "Built":
    """The wheel that *maker* builds for *target* of a source or a folder of the lock in *folder*; raises IncompatibleBuild, MinglibcError."""
    package, file = locked
    from minglibc.app.source_builds import LocalProject, Release  # noqa: PLC0415  few locks have sources

    if isinstance(file, LockedFolder):
        return maker.build_project(
            LocalProject(package.name, place_of(file, folder), file.editable), target, interpreter
        )
    return maker.build_release(
        Release(package.name, version_of(package), locked_file(file, folder)), target, interpreter
    )


def place_of(locked: LockedFolder, folder: str) -> str:
    """Where a folder of the lock in *folder* is."""
    return os.path.join(os.path.abspath(folder), locked.path)


def maker_for(
    source: Source, targets: Sequence[Target], arguments: Namespace, *, builds: bool = True
) -> "SourceBuilder":
    """What builds the sources of a lock, by the settings beside it where it has any."""
    from minglibc.app.build_environment import BuildContext  # noqa: PLC0415  few locks have sources
    from minglibc.app.indexes import credentials_for, index_of_lock  # noqa: PLC0415  the same
    from minglibc.app.lock_request import overrides_from  # noqa: PLC0415  the same
    from minglibc.app.source_builds import SourceBuilder  # noqa: PLC0415  the same
    from minglibc.cli.output import Terminal  # noqa: PLC0415  the same
    from minglibc.config.parser import parse  # noqa: PLC0415  the same

    origin = source.lock.origin
    settings = None
    # A frozen lock stands for itself, whatever lies beside it.
    with suppress(*([SettingsError] if getattr(arguments, "frozen", False) else [])):
        if source.pyproject is not None:
            settings = parse(source.pyproject, overrides=overrides_from(origin.given), written=origin.is_project)
    common = common_options(arguments)
    context = BuildContext(
        common,
        source.folder,
        credentials_for(source.pyproject, source.lock, common.index_url),
        settings,
        index_of_lock(source.lock),
        Terminal.of(arguments),
    )
    return SourceBuilder(context, targets, builds=builds)


def _check_needs(wheel: "CheckedWheel", lacking: str) -> None:
    """The index may have told `lock` less than the wheel itself says; pip's check would fail there."""
    if lacking:
        raise WheelError(
            f"{wheel.filename} needs {lacking}, which the lock does not have",
            hint="nothing was installed: the index gave other metadata for this wheel than the wheel holds; "
            "require what is missing in pyproject.toml and run `minglibc lock`",
        )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the environment is whole again, which takes milliseconds."""
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write_proof(
    environment: Environment, work: Work, look: Look, arrived: "Sequence[CheckedWheel]", arguments: Namespace
) -> None:
    interpreter, layout, target = environment.interpreter, environment.layout, work.target
    pyproject = None if arguments.frozen else work.source.pyproject
    proof.write(
        layout.prefix,
        proof.Request(proof.digest(work.source.lock_text), proof.digest(pyproject), selection(arguments)),
        cap=str(target.cap),
        musl_loader=interpreter.loader if target.cap.libc == "musl" else "",
        folders=(layout.purelib, layout.platlib, layout.scripts),
        snapshot=_snapshot(environment, work, look, arrived),
    )


def _snapshot(
    environment: Environment, work: Work, look: Look, arrived: "Sequence[CheckedWheel]"
) -> proof.Snapshot | None:
    """What the next sync compares to find that nothing changed; None if more than files decides."""
    interpreter, layout, source = environment.interpreter, environment.layout, work.source
    has_folders = any(isinstance(file, LockedFolder) for _, file in work.packages)
    incomplete = look.foreign or has_folders or any(distribution.damage for distribution in look.staying)
    if incomplete or source.pyproject is None or not interpreter.is_environment or not interpreter.files:
        return None
    distributions = [proof.InstalledFiles(old.site, old.folder, old.identity, old.sizes) for old in look.staying]
    for wheel in arrived:
        site = layout.folder(wheel.root, wheel.name)
        identity = proof.metadata_identity(os.path.join(layout.prefix, site, wheel.dist_info))
        distributions.append(proof.InstalledFiles(site, wheel.dist_info, identity, wheel.sizes))
    return proof.Snapshot(
        source.folder,
        proof.digest(source.pyproject),
        interpreter.executable,
        interpreter.files,
        (layout.purelib, layout.platlib),
        distributions,
        packages=len(look.plan.names(Action.KEEP, Action.INSTALL, Action.REINSTALL)),
    )
