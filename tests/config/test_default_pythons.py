"""The Pythons that are locked for where no setting names them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from minglibc.config.default_pythons import RecordedPythons, default_pythons
from minglibc.config.parser import parse
from minglibc.model.targets import FIRST_RELEASE, NEWEST_PATCH, PythonVersion
from tests.support.commands import minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

TODAY = date(2026, 11, 27)
CLASSIFIER = "Programming Language :: Python :: 3."


def selected(requires_python: str, *classifiers: str, today: date = TODAY) -> list[str]:
    """The default Pythons."""
    return [str(python) for python in default_pythons(requires_python, classifiers, today).pythons]


@pytest.mark.parametrize(
    ("requires_python", "classifiers", "expected"),
    [
        (">=3.12", (), ["3.12", "3.13", "3.14"]),
        (">=3.12,<4", (), ["3.12", "3.13", "3.14"]),
        (">=3.12,<3.16", (), ["3.12", "3.13", "3.14", "3.15"]),
        ("==3.11.*", (), ["3.11"]),
        ("==3.11.5", (), ["3.11.5"]),
        (">=3.10.2,<3.10.9", (), ["3.10.8"]),
        (">=4", (), []),
        (">=3.11", (f"{CLASSIFIER}11", f"{CLASSIFIER}12"), ["3.11", "3.12"]),
        (">=3.14", (f"{CLASSIFIER}15", f"{CLASSIFIER}14"), ["3.14", "3.15"]),
        (">=3.13", (f"{CLASSIFIER}9", "Programming Language :: Python :: 3 :: Only"), ["3.13", "3.14"]),
        (">=3.15", (), ["3.15"]),
        ("!=3.13.*,>=3.12", (), ["3.12", "3.14"]),
    ],
)
def test_selection(requires_python: str, classifiers: tuple[str, ...], expected: list[str]) -> None:
    """An upper bound decides, then classifiers, then the age of each Python."""
    assert selected(requires_python, *classifiers) == expected


def test_age_decides() -> None:
    """A Python is selected a year after its first release."""
    assert selected(">=3.14", today=date(2026, 10, 6)) == ["3.14", "3.15"]  # there is no older one
    assert selected(">=3.13", today=date(2026, 10, 6)) == ["3.13"]
    assert selected(">=3.13", today=date(2026, 10, 7)) == ["3.13", "3.14"]
    assert selected(">=3.13", today=date(2027, 10, 1)) == ["3.13", "3.14", "3.15"]


def test_recorded_pythons() -> None:
    """The Pythons of a lock are kept as long as requires-python is the same."""
    lock = RecordedPythons(">=3.13", (PythonVersion(13),))
    assert default_pythons(">=3.13", (), TODAY, lambda: lock).pythons == lock.pythons
    assert [python.minor for python in default_pythons(">=3.12", (), TODAY, lambda: lock).pythons] == [12, 13, 14]


def test_locks_of_older_versions() -> None:
    """A lock of 0.1.0, for each Python that requires-python allows, keeps its Pythons, whatever the classifiers are."""
    lock = RecordedPythons(">=3.12", tuple(map(PythonVersion, (12, 13, 14, 15))), are_default=False)
    classifiers = ["Programming Language :: Python :: 3.12"]
    assert default_pythons(">=3.12", classifiers, TODAY, lambda: lock).pythons == lock.pythons
    assert [python.minor for python in default_pythons(">=3.13", (), TODAY, lambda: lock).pythons] == [13, 14]


def test_every_python_has_a_date() -> None:
    """The table of first releases covers each known Python, in order."""
    assert FIRST_RELEASE.keys() == NEWEST_PATCH.keys()
    assert list(FIRST_RELEASE.values()) == sorted(FIRST_RELEASE.values())


def test_setting_and_message() -> None:
    """A setting has no default; otherwise the message names the Pythons and the setting."""
    text = '[project]\nname = "a"\nrequires-python = ">=3.13"\n[tool.minglibc]\nglibc = "2.28"\n'
    settings = parse(text, now=datetime(2026, 11, 27, tzinfo=UTC))
    assert settings.default_pythons is not None
    assert settings.default_pythons.message == (
        "Locking for CPython 3.13, 3.14 (released at least a year ago), not 3.15; tool.minglibc.python selects others"
    )
    assert parse(f'{text}python = "3.15"\n').default_pythons is None


def test_lock_records_the_choice(index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later date changes the Pythons only with --upgrade; new classifiers make the lock stale."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("b", "1.0"))
    pyproject = tmp_path / "pyproject.toml"
    table = f'[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\n'
    head = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.13"\n'
    pyproject.write_text(f'{head}dependencies = ["a"]\n{table}', encoding="utf-8")

    def lock(*options: str) -> tuple[list[int], str]:
        ran = minglibc("lock", "--project", str(tmp_path), *options)
        assert ran.code == 0, ran.err
        return [target.python.minor for target in read_lock(tmp_path).targets], ran.err

    monkeypatch.setattr("minglibc.config.parser.datetime", _Clock(datetime(2026, 6, 1, tzinfo=UTC)))
    pythons, output = lock()
    assert pythons == [13]
    assert "not 3.14, 3.15; tool.minglibc.python selects others" in output
    monkeypatch.setattr("minglibc.config.parser.datetime", _Clock(datetime(2027, 11, 1, tzinfo=UTC)))
    assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 0
    pyproject.write_text(f'{head}dependencies = ["a", "b"]\n{table}', encoding="utf-8")
    assert lock()[0] == [13]
    assert lock("--upgrade")[0] == [13, 14, 15]
    classifiers = f'classifiers = ["{CLASSIFIER}14"]\n'
    pyproject.write_text(f'{head}{classifiers}dependencies = ["a", "b"]\n{table}', encoding="utf-8")
    assert minglibc("lock", "--check", "--project", str(tmp_path)).code == 1
    assert lock()[0] == [14]


class _Clock:
    """``datetime`` with another current time."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self, _zone: object) -> datetime:
        """The time of this clock."""
        return self._now
