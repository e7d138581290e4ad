"""What a lock is made from: pyproject.toml, requirements files or a script; recorded in the lock."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from minglibc.config.files import real_path
from minglibc.model.artifacts import leaves_folder

# How the versions of another tool's lock are used: all of them, as many as possible, or only those within the cap.
POLICIES = ("nearest", "same", "newest")
DEFAULT_POLICY = POLICIES[0]
# The options that are recorded in a lock of requirements files or of a script; a project has them in pyproject.toml.
_RECORDED = {
    "glibc": "--glibc",
    "musl": "--musl",
    "python": "--python",
    "architectures": "--arch",
    "toolchain": "--toolchain",
    "allow-sdist": "--allow-sdist-package",
    "extra": "--extra",
    "no-extra": "--no-extra",
    "group": "--group",
    "no-group": "--no-group",
}
# Together they select what is locked: if one is given, none that is recorded counts.
PART_OPTIONS = frozenset(("extra", "no-extra", "group", "no-group"))
_LISTS = frozenset(("python", "architectures", "allow-sdist")) | PART_OPTIONS


class LockSource(NamedTuple):
    """The files that a lock is made from, relative to its folder, and the options that were given.

    Without files it is pyproject.toml. *source_lock* is another tool's lock, and *policy* how its versions are used. *lock* is the lock's file name. A lock that is *external* was made from requirements files
    outside its folder, which it does not name: a lock must not make other users read such files. A project's lock that is
    *overridden* was made with options instead of settings.
    """

    requirements: tuple[str, ...] = ()
    script: str = ""
    options: tuple[str, ...] = ()
    lock: str = "pylock.toml"
    external: bool = False
    source_lock: str = ""
    policy: str = ""
    overridden: bool = False

    @classmethod
    def load(cls, table: Mapping[str, Any], lock: str) -> "LockSource":
        """The source in the [tool.minglibc] table of the file *lock*; raises ValueError if it is damaged."""
        requirements, options = table.get("requirements", []), table.get("options", [])
        script, source_lock, policy = (table.get(key, "") for key in ("script", "source-lock", "version-policy"))
        are_strings = all(isinstance(value, str) for value in (script, source_lock, policy))
        if not are_strings or not all(map(_is_list_of_strings, (requirements, options))):
            raise ValueError("it does not record what it was made from")
        if any(map(leaves_folder, (*requirements, script, source_lock))):
            raise ValueError("it names a file outside its folder as what it was made from")
        external = table.get("external") is True
        overridden = table.get("overridden") is True
        return cls(tuple(requirements), script, tuple(options), lock, external, source_lock, policy, overridden)

    @property
    def is_project(self) -> bool:
        """Whether it is the pyproject.toml in the lock's folder."""
        return not self.requirements and not self.script and not self.external and not self.source_lock

    @property
    def name(self) -> str:
        """The files, for messages."""
        name = "pyproject.toml" if self.is_project else "files outside its folder"
        return ", ".join(self.requirements) or self.script or self.source_lock or name

    @property
    def command(self) -> str:
        """The command that updates the lock, in the lock's folder."""
        if self.script:
            return f"minglibc lock --script {self.script}"
        if self.source_lock:
            named = [f"-o {self.lock}"] if self.external or self.lock != "pylock.toml" else []
            policy = [f"--version-policy {self.policy}"] if self.policy not in ("", DEFAULT_POLICY) else []
            path = "FILE" if self.external else self.source_lock
            return " ".join([f"minglibc lock --from {path}", *policy, *named])
        paths = self.requirements or (("FILE",) if self.external else ())
        named = [f"-o {self.lock}"] if self.external or (paths and self.lock != "pylock.toml") else []
        return " ".join(["minglibc lock", *(f"-r {path}" for path in paths), *named])

    @property
    def sync(self) -> str:
        """The command that installs the lock, in the lock's folder."""
        return "minglibc sync" if self.is_project else f"minglibc sync --lock {self.lock}"

    @property
    def recorded(self) -> "LockSource":
        """What the lock records of it."""
        return self._replace(requirements=(), source_lock="") if self.external else self

    @property
    def table(self) -> dict[str, Any]:
        """The keys in the lock's [tool.minglibc] table."""
        table = {"requirements": list(self.recorded.requirements), "script": self.script, "external": self.external}
        table |= {"source-lock": self.recorded.source_lock, "version-policy": self.policy}
        table |= {"options": list(self.options), "overridden": self.overridden}
        return {key: value for key, value in table.items() if value}

    @property
    def given(self) -> dict[str, Any]:
        """The recorded options, as in ``Overrides.given``."""
        given: dict[str, Any] = {}
        for key, flag in _RECORDED.items():
            values = [option[len(flag) + 1 :] for option in self.options if option.startswith(f"{flag}=")]
            if values:
                given[key] = values if key in _LISTS else values[-1]
        return given

    def with_given(self, given: Mapping[str, Any]) -> "LockSource":
        """The same files with the options *given*, as in ``Overrides.given``."""
        options = []
        for key, flag in _RECORDED.items():
            value = given.get(key, [])
            options += [f"{flag}={item}" for item in ([value] if isinstance(value, str) else value)]
        return self._replace(options=tuple(options))


PROJECT_FILE = LockSource()


def leads_out(path: str, folder: str) -> bool:
    """Whether *path*, relative to *folder* or absolute, is outside of it when links are resolved."""
    return not is_below(real_path(os.path.join(folder, path)), os.path.realpath(folder))


def is_below(path: str, folder: str) -> bool:
    """Whether the absolute *path* begins with *folder*; links are not resolved."""
    return path.startswith(os.path.join(folder, ""))


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
