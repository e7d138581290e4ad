"""The Pythons that a project is locked for where no setting names them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from minglibc.model import versions
from minglibc.model.targets import FIRST_RELEASE, NEWEST_PATCH, NEWEST_PYTHON, OLDEST_PYTHON, PythonVersion

# Compiled on first use: many projects have no classifiers.
_CLASSIFIER = r"Programming Language :: Python :: 3\.([0-9]{1,2})"
# A Python that no release of CPython will reach: requires-python is open if it allows it.
_FUTURE = "3.999"
# Projects publish wheels for a new Python in the months after its first release.
_AGE = timedelta(days=365)


class RecordedPythons(NamedTuple):
    """The Pythons of a lock, and the requires-python that it records."""

    requires_python: str
    pythons: tuple[PythonVersion, ...]
    are_default: bool = True
    """Whether the lock records that no setting named them; locks of 0.1.0 do not."""


class DefaultPythons(NamedTuple):
    """The selected Pythons, those that requires-python allows in addition, and why they were not selected."""

    pythons: tuple[PythonVersion, ...]
    others: tuple[PythonVersion, ...] = ()
    reason: str = ""
    by_date: bool = False
    """Whether the selection depends on the date, so that a lock records it."""

    @property
    def message(self) -> str:
        """Which Pythons are selected and how to name others; empty where requires-python alone decides."""
        if not self.others:
            return ""
        selected, others = (", ".join(map(str, pythons)) for pythons in (self.pythons, self.others))
        return f"Locking for CPython {selected} ({self.reason}), not {others}; tool.minglibc.python selects others"


def default_pythons(
    requires_python: str,
    classifiers: Iterable[str],
    today: date,
    recorded: Callable[[], RecordedPythons | None] = lambda: None,
) -> DefaultPythons:
    """The Pythons that the project can be expected to support.

    If *requires_python* has an upper bound, these are all that it allows; patch releases, if it excludes the newest one of
    every Python, as ``==3.11.5`` does. Otherwise the classifiers decide; without them,
    the Pythons *recorded* in the lock, or those whose first release is at least a year old.
    """
    known = [PythonVersion(minor) for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1)]
    allowed = tuple(python for python in known if versions.contains(requires_python, python.full))
    if not allowed:
        return DefaultPythons(tuple(_older_releases(requires_python, known)))
    if not versions.contains(requires_python, _FUTURE):
        return DefaultPythons(allowed)
    lock = recorded()
    if lock is not None and not lock.are_default and {*lock.pythons} == {*allowed}:
        return DefaultPythons(allowed)  # a lock of 0.1.0 has all of them, until it is upgraded
    classified = {int(match[1]) for text in classifiers if (match := re.fullmatch(_CLASSIFIER, text))}
    if selected := tuple(python for python in allowed if python.minor in classified):
        return _selection(selected, allowed, "the classifiers of the project")
    if (
        lock is not None
        and lock.are_default
        and lock.requires_python == requires_python
        and {*lock.pythons} <= {*allowed}
    ):
        return _selection(lock.pythons, allowed, "recorded in the lock", by_date=True)
    old = tuple(python for python in allowed if date.fromisoformat(FIRST_RELEASE[python.minor]) + _AGE <= today)
    return _selection(old or allowed, allowed, "released at least a year ago", by_date=True)


def _older_releases(requires_python: str, known: Iterable[PythonVersion]) -> Iterator[PythonVersion]:
    """The newest patch release of each Python that *requires_python* allows."""
    for python in known:
        releases = (python._replace(patch=patch) for patch in range(NEWEST_PATCH[python.minor], -1, -1))
        allowed = next((release for release in releases if versions.contains(requires_python, release.full)), None)
        if allowed is not None:
            yield allowed


def _selection(
    selected: tuple[PythonVersion, ...], allowed: tuple[PythonVersion, ...], reason: str, *, by_date: bool = False
) -> DefaultPythons:
    others = tuple(python for python in allowed if python not in selected)
    return DefaultPythons(selected, others, reason, by_date)


def classifiers_of(project: Mapping[str, Any]) -> list[str]:
    """The trove classifiers of [project]; an invalid value has none."""
    value = project.get("classifiers", [])
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
