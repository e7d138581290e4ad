"""The lock of another tool that a lock is made from: read, with the settings beside it, and with its hashes."""

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from minglibc.config import files, inputs
from minglibc.config.default_pythons import classifiers_of
from minglibc.config.from_setting import FromSetting
from minglibc.config.poetry_project import standard
from minglibc.config.toml_file import load
from minglibc.errors import LockError
from minglibc.model import versions
from minglibc.model.artifacts import Artifact
from minglibc.model.requirements import Environment
from minglibc.model.targets import Target
from minglibc.source_locks.conversion import as_pyproject
from minglibc.source_locks.model import SourceKind, SourceLock, SourcePackage
from minglibc.source_locks.parts import ALL, Parts, select_parts
from minglibc.source_locks.reader import read

# What a format needs besides the lock.
_BESIDE = (files.PYPROJECT,)
Release = tuple[str, versions.Key | str]


class LoadedLock(NamedTuple):
    """A source lock, its path from the folder of the lock that is made, its digest, and its project's pyproject.toml."""

    lock: SourceLock
    path: str
    policy: str
    sha256: str
    pyproject: str
    """The project of the source lock, with its requirements and the settings of minglibc."""

    def selected(self, target: Target) -> dict[str, SourcePackage]:
        """The packages that the source lock has for *target*, by name."""
        return self.lock.selected(Environment(target.environment))

    def preferred(self, target: Target) -> dict[str, SourcePackage]:
        """As ``selected``, with the packages that *target* does not have there and of which there is only one version."""
        by_name: dict[str, list[SourcePackage]] = {}
        for package in self.lock.packages:
            if package.kind is not SourceKind.LOCAL:
                by_name.setdefault(package.name, []).append(package)
        single = {name: packages[0] for name, packages in by_name.items() if len(packages) == 1}
        return {**single, **self.selected(target)}

    def versions(self, target: Target) -> dict[str, str]:
        """The versions of ``preferred``, by name."""
        return {
            name: package.version
            for name, package in self.preferred(target).items()
            if versions.normalize(package.version) is not None
        }


def load_source_lock(
    path: str, folder: str, policy: str, parts: Parts = ALL, *, is_setting: bool = False
) -> LoadedLock:
    """The *parts* of the source lock at *path*, relative to *folder*; raises LockError and SettingsError."""
    full_path = os.path.join(folder, path)
    content = files.read_lock(full_path)
    if content is None:
        advice = "create it with the tool that makes it, or correct tool.minglibc.from"
        hint = advice if is_setting else "give the path of a lock of uv, Poetry, PDM, Pipenv or pip"
        raise LockError(f"there is no {path}", hint=hint)
    beside = _read_beside(os.path.dirname(full_path))
    lock = select_parts(read(content, path, beside), parts)
    document = load(beside[files.PYPROJECT]) if files.PYPROJECT in beside else {}
    own = document.get("tool", {}).get("minglibc", {}) if is_setting else {}
    # The parser reports a table that is not one.
    document = document if is_setting else inputs.pyproject_beside(os.path.dirname(full_path))
    # Mistakes in Poetry's tables are reported where the lock is read.
    project = standard(document).get("project", {})
    project = project if isinstance(project, dict) else {}
    supported = project.get("requires-python")
    if not lock.requires_python and isinstance(supported, str):
        lock = lock._replace(requires_python=supported)
    name = project.get("name", "") if is_setting else ""
    pyproject = as_pyproject(
        lock,
        inputs.settings_for(document, os.path.dirname(path)),
        indexes=inputs.indexes_for(document, os.path.dirname(path)),
        project=name if isinstance(name, str) else "",
        default_groups=_locked_groups(own.get("default-groups"), lock, parts),
        classifiers=classifiers_of(project),
    )
    return LoadedLock(lock, path, policy, inputs.digest(content), pyproject)


def load_from_setting(setting: FromSetting, folder: str) -> LoadedLock:
    """The source lock that the project in *folder* names in its settings."""
    return load_source_lock(
        setting.file, folder, setting.policy, Parts(setting.extras, setting.groups), is_setting=True
    )


def _locked_groups(default_groups: Any, lock: SourceLock, parts: Parts) -> Any:
    """The setting ``default-groups`` without groups that *parts* exclude."""
    if parts == ALL or not isinstance(default_groups, list):
        return default_groups
    return [group for group in default_groups if group in lock.groups]


def _read_beside(folder: str) -> dict[str, str]:
    texts = ((name, files.read_file(os.path.join(folder, name))) for name in _BESIDE)
    return {name: text for name, text in texts if text is not None}


class ListedHashes:
    """The hashes that a source lock, or the requirements files of -r, list for their releases."""

    def __init__(
        self,
        lock: SourceLock | None = None,
        by_project: Mapping[str, frozenset[str]] | None = None,
        *,
        accepted: Collection[Release] = (),
    ) -> None:
        """Other files of the releases *accepted* are admitted as well."""
        self._packages: dict[Release, list[SourcePackage]] = {}
        for package in lock.packages if lock is not None else ():
            self._packages.setdefault(release(package.name, package.version), []).append(package)
        self._by_project = by_project or {}
        self._accepted = frozenset(accepted)
        self._hashes: dict[Release, frozenset[str] | None] = {}

    def accepting(self, releases: Collection[Release]) -> "ListedHashes":
        """The same, without any restriction on the files of *releases*."""
        other = ListedHashes(by_project=self._by_project, accepted={*self._accepted, *releases})
        other._packages = self._packages
        return other

    def has_release(self, file: Artifact) -> bool:
        """Whether the source lock has the release of *file*."""
        return release(file.name, file.version) in self._packages

    def is_listed(self, file: Artifact) -> bool:
        """Whether *file* may be used: its hash is listed, or no hash of its release is."""
        key = release(file.name, file.version)
        if key in self._accepted:
            return True
        hashes = self.hashes_of(file)
        return hashes is None or file.hash in hashes

    def hashes_of(self, file: Artifact) -> frozenset[str] | None:
        """The hashes that are listed for the release of *file*; None if there are none."""
        key = release(file.name, file.version)
        if key not in self._hashes:
            listed = frozenset(value for package in self._packages.get(key, ()) for value in package.hashes)
            self._hashes[key] = listed or self._by_project.get(file.name)
        return self._hashes[key]


def release(name: str, version: str) -> Release:
    """What identifies a release, whichever spelling of its version is used: pex writes ``5`` for 5.0.0."""
    return name, versions.key(version) if versions.normalize(version) is not None else version
