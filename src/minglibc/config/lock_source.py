"""What a lock is made from: pyproject.toml, requirements files or a script; the lock itself remembers it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# The options that a lock of requirements files or of a script remembers; a project has its pyproject.toml for them.
_REMEMBERED = {"glibc": "--glibc", "musl": "--musl", "python": "--python", "architectures": "--arch"}


class LockSource(NamedTuple):
    """The files that a lock is made from, relative to its own folder, and the options that were given; none: pyproject.toml.

    *lock* is the lock's own name.
    """

    requirements: tuple[str, ...] = ()
    script: str = ""
    options: tuple[str, ...] = ()
    lock: str = "pylock.toml"

    @classmethod
    def load(cls, table: Mapping[str, Any], lock: str) -> "LockSource":
        """The origin that the own table of the file *lock* names; raises ValueError for a damaged one."""
        requirements, script, options = table.get("requirements", []), table.get("script", ""), table.get("options", [])
        if not isinstance(script, str) or not all(_is_list_of_texts(each) for each in (requirements, options)):
            raise ValueError("it does not say what it was made from")
        return cls(tuple(requirements), script, tuple(options), lock)

    @property
    def is_project(self) -> bool:
        """Whether it is the pyproject.toml in the lock's folder."""
        return not self.requirements and not self.script

    @property
    def name(self) -> str:
        """The files, as a message names them."""
        return ", ".join(self.requirements) or self.script or "pyproject.toml"

    @property
    def command(self) -> str:
        """The command that makes the lock anew, in the lock's folder."""
        if self.script:
            return f"minglibc lock --script {self.script}"
        named = [f"-o {self.lock}"] if self.requirements and self.lock != "pylock.toml" else []
        return " ".join(["minglibc lock", *(f"-r {path}" for path in self.requirements), *named])

    @property
    def sync(self) -> str:
        """The command that installs the lock, in the lock's folder."""
        return "minglibc sync" if self.is_project else f"minglibc sync --lock {self.lock}"

    @property
    def table(self) -> dict[str, Any]:
        """What the lock's own table says of it."""
        found = {"requirements": list(self.requirements), "script": self.script, "options": list(self.options)}
        return {key: value for key, value in found.items() if value}

    @property
    def given(self) -> dict[str, Any]:
        """The remembered options, in the form of ``Overrides.given``."""
        found: dict[str, Any] = {}
        for key, flag in _REMEMBERED.items():
            values = [option[len(flag) + 1 :] for option in self.options if option.startswith(f"{flag}=")]
            if values:
                found[key] = values if key in {"python", "architectures"} else values[-1]
        return found

    def with_given(self, given: Mapping[str, Any]) -> "LockSource":
        """The same files with the options *given*, in the form of ``Overrides.given``."""
        options = []
        for key, flag in _REMEMBERED.items():
            value = given.get(key, [])
            options += [f"{flag}={each}" for each in ([value] if isinstance(value, str) else value)]
        return self._replace(options=tuple(options))


PROJECT_FILE = LockSource()


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
