"""What to lock: a project (pyproject.toml), requirements files (``-r``) or a script (``--script``), and where the lock is."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.config import files
from minglibc.config.lock_source import DEFAULT_POLICY, PART_OPTIONS, PROJECT_FILE, LockSource, leads_out
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides, Settings
from minglibc.errors import LockError, MinglibcError, SettingsError
from minglibc.lock.digest import fingerprint, is_current, lock_digests
from minglibc.model import toml

if TYPE_CHECKING:
    from minglibc.app.lock_file import LockFile
    from minglibc.app.source_lock import LoadedLock
    from minglibc.config import inputs
    from minglibc.config.default_pythons import RecordedPythons

# PEP 751: no dots in the name between.
_LOCK_NAME = r"pylock(?:\.[^.]+)?\.toml"
NO_OVERRIDES = Overrides()


class LockRequest(NamedTuple):
    """A lock's path, the source that it is made from, that source as the text of a pyproject.toml, and overrides."""

    path: str
    source: LockSource
    pyproject: str
    overrides: Overrides = Overrides()
    follows_links: bool = False
    """Whether the user named the path, which may then be a link to anywhere."""
    upgrade: bool = False
    """Whether to select the default Pythons again, instead of those that the lock records."""
    hashes: Mapping[str, frozenset[str]] = {}
    """The hashes that requirements files give, by project."""
    built: Mapping[str, Any] | None = None
    """The fields of [project] that only a build can tell."""
    loaded: "LoadedLock | None" = None
    """The lock of another tool that this one is made from."""

    @property
    def folder(self) -> str:
        """The folder of the lock, which the paths of its source are relative to."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        """The lock's file name."""
        return os.path.basename(self.path)

    @property
    def digest(self) -> str:
        """The digest of the inputs; --index-url gives another way to the same files, and is not one of them."""
        return fingerprint(self.pyproject, self.overrides.given)

    def is_current(self, inputs: str) -> bool:
        """Whether *inputs*, the digest in a lock, is that of these inputs."""
        return is_current(inputs, self.pyproject, self.overrides.given)

    def settings(self) -> Settings:
        """The settings with the overrides; raises SettingsError with every mistake."""
        loaded = self.loaded
        return parse(
            self.pyproject if loaded is None else loaded.pyproject,
            name=self.source.name if loaded is None else loaded.path,
            overrides=self.overrides,
            written=self.source.is_project and loaded is None,
            folder=self.folder,
            recorded=self._recorded_pythons,
            built=self.built,
        )

    def _recorded_pythons(self) -> "RecordedPythons | None":
        """The Pythons of the existing lock."""
        text = None if self.upgrade else files.read_lock(self.path)
        if text is None:
            return None
        from minglibc.config.default_pythons import RecordedPythons  # noqa: PLC0415  1 ms; many projects name their Pythons
        from minglibc.lock.reader import loads_targets  # noqa: PLC0415  3 ms, and a new project has no lock

        try:
            document = toml.loads(text)
            pythons = sorted({target.python for target in loads_targets(document)})
            return RecordedPythons(
                document["requires-python"], tuple(pythons), document["tool"]["minglibc"].get("default-python") is True
            )
        except (ValueError, KeyError, TypeError, MinglibcError):
            return None  # a damaged lock is reported where it is read

    def reread(self) -> "LockRequest":
        """The same request with the current contents of its source."""
        if self.source.is_project:
            pyproject, hashes = files.read_pyproject(self.folder), self.hashes
        else:
            text = _read(self.source, self.folder)
            pyproject, hashes = text.pyproject, text.hashes
        loaded = _load(self.source, pyproject, self.folder)
        if loaded is not None and self.loaded is not None:
            loaded = loaded._replace(policy=self.loaded.policy)
        return self._replace(pyproject=pyproject, hashes=hashes, loaded=loaded)


def project_request(common: CommonOptions, overrides: Overrides = NO_OVERRIDES) -> LockRequest:
    """The request for the project's own lock."""
    folder = common.project_folder
    path = files.lock_path(folder)
    pyproject = files.read_pyproject(folder)
    source = PROJECT_FILE._replace(overridden=overrides != NO_OVERRIDES)
    return LockRequest(path, source, pyproject, overrides, loaded=_load(source, pyproject, folder))


def requirements_request(
    requirements: Sequence[str], output: str | None, overrides: Overrides, reporter: Reporter
) -> LockRequest:
    """The request for the lock of requirements files, with the overrides that an existing lock records."""
    path = _output(requirements[0], output)
    folder = os.path.dirname(path)
    _check_names(requirements)
    paths = tuple(os.path.relpath(file, folder) for file in requirements)
    source = LockSource(paths, external=any(leads_out(path, folder) for path in paths))
    return _request(path, source, overrides, reporter)._replace(follows_links=output is not None)


def source_lock_request(
    source_lock: str, output: str | None, policy: str | None, overrides: Overrides, reporter: Reporter
) -> LockRequest:
    """The request for a lock that is made from another tool's, with the options that an existing lock records."""
    path = _output(source_lock, output)
    folder = os.path.dirname(path)
    _check_names([source_lock])
    relative = os.path.relpath(source_lock, folder)
    if os.path.abspath(source_lock) == path:
        raise SettingsError(f"{source_lock} would be replaced by its own lock", hint="give another file with -o")
    source = LockSource(source_lock=relative, external=leads_out(relative, folder), lock=os.path.basename(path))
    old = files.read_lock(path)
    recorded = recorded_source(old, source.lock) if old is not None else None
    if policy is None and recorded is not None and _is_same(recorded, source):
        policy = recorded.policy
    source = source._replace(policy=policy or DEFAULT_POLICY)
    return _request(path, source, overrides, reporter)._replace(follows_links=output is not None)


def script_request(script: str, overrides: Overrides, reporter: Reporter) -> LockRequest:
    """The request for the lock of a script, with the overrides that an existing lock records."""
    from minglibc.config import inputs  # noqa: PLC0415  3 ms; most locks are of projects

    _check_names([script])
    path = inputs.script_lock(script)
    source = LockSource(script=os.path.relpath(script, os.path.dirname(path)))
    return _request(path, source, overrides, reporter)


def request_of(lock_file: "LockFile", overrides: Overrides = NO_OVERRIDES) -> LockRequest:
    """The request that makes *lock_file* again, from the current contents of its source."""
    source = lock_file.lock.source
    merged = overrides_from({**source.given, **overrides.given})
    return LockRequest(lock_file.path, source, "", merged).reread()


def _request(path: str, source: LockSource, overrides: Overrides, reporter: Reporter) -> LockRequest:
    from minglibc.config import inputs  # noqa: PLC0415  3 ms; most locks are of projects

    source = source._replace(lock=os.path.basename(path))
    recorded, given = _recorded(source, path), overrides.given
    if PART_OPTIONS & given.keys():
        recorded = {key: value for key, value in recorded.items() if key not in PART_OPTIONS}
    merged = {**recorded, **given}
    source = source.with_given(merged)
    text = inputs.read(source, os.path.dirname(path))
    loaded = _load(source, text.pyproject, os.path.dirname(path))
    inputs.check_targets(source, loaded.pyproject if loaded is not None else text.pyproject)
    for note in text.notes:
        reporter.info(note)
    return LockRequest(path, source, text.pyproject, overrides_from(merged), hashes=text.hashes, loaded=loaded)


def _load(source: LockSource, pyproject: str, folder: str) -> "LoadedLock | None":
    """The lock of another tool that *source* is, or that a project's settings name."""
    # These import the readers of all formats; most locks have no other source.
    if source.source_lock:
        from minglibc.app.source_lock import load_source_lock  # noqa: PLC0415
        from minglibc.source_locks.parts import Parts  # noqa: PLC0415

        return load_source_lock(source.source_lock, folder, source.policy, Parts.of_options(source.given))
    if not source.is_project or "from" not in pyproject:
        return None
    from minglibc.config.from_setting import read_from_setting  # noqa: PLC0415

    setting = read_from_setting(pyproject)
    if setting is None:
        return None
    from minglibc.app.source_lock import load_from_setting  # noqa: PLC0415

    return load_from_setting(setting, folder)


def _recorded(source: LockSource, path: str) -> Mapping[str, Any]:
    """The overrides that an existing lock of the same source records."""
    old = files.read_lock(path)
    recorded = recorded_source(old, os.path.basename(path)) if old is not None else None
    return recorded.given if recorded is not None and _is_same(recorded, source) else {}


def _read(source: LockSource, folder: str) -> "inputs.Text":
    from minglibc.config import inputs  # noqa: PLC0415  3 ms; most locks are of projects

    return inputs.read(source, folder)


def check_lock_source(old: str, request: LockRequest) -> None:
    """Raise LockError where *old*, which *request* is about to replace, is the lock of another source."""
    recorded = recorded_source(old, request.name)
    if recorded is None or _is_same(recorded, request.source):
        return
    if request.loaded is not None and recorded.source_lock == request.loaded.path:
        return  # the setting `from` now names the file that --from named
    raise LockError(
        f"{request.path} is the lock of {recorded.name}, not of {request.source.name}",
        hint="choose another file with -o pylock.NAME.toml, or delete this one first"
        if request.source.requirements or request.source.source_lock or recorded.external
        else f"`{recorded.command}` updates it; delete it to lock {request.source.name} instead",
    )


def _is_same(one: LockSource, other: LockSource) -> bool:
    if one.external or other.external:
        return one.external and other.external and bool(one.policy) == bool(other.policy)
    return (one.requirements, one.script, one.source_lock) == (other.requirements, other.script, other.source_lock)


def recorded_source(lock: str, name: str) -> LockSource | None:
    """The source that the text of a lock records; None where the lock is damaged."""
    digests = lock_digests(lock)
    if digests is None or not digests.intact:
        return None
    try:
        return LockSource.load(toml.loads(lock)["tool"]["minglibc"], name)
    except (ValueError, KeyError, TypeError):
        return None


def overrides_from(given: Mapping[str, Any]) -> Overrides:
    """The overrides that a lock records, in the form of ``LockSource.given``."""
    values: dict[str, Any] = {
        key.replace("-", "_"): value if isinstance(value, str) else tuple(value) for key, value in given.items()
    }
    return Overrides(**values)


def _output(requirements: str, output: str | None) -> str:
    if output is None:
        return os.path.join(os.path.dirname(os.path.abspath(requirements)), files.LOCK)
    path = os.path.abspath(output)
    if not re.fullmatch(_LOCK_NAME, os.path.basename(path)):
        raise SettingsError(
            f"{output} is not a valid name for a lock (PEP 751)",
            hint="use pylock.toml or pylock.NAME.toml, without dots in NAME",
        )
    if not os.path.isdir(os.path.dirname(path)):
        raise SettingsError(f"there is no folder {os.path.dirname(path)}", hint="create it first")
    return path


def _check_names(paths: Sequence[str]) -> None:
    for path in paths:
        # The lock's first comment contains it.
        if not path.isprintable():
            raise SettingsError(f"{path!r} contains characters that a lock can't record", hint="rename the file")
