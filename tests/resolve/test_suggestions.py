"""Where there is no answer, the changes that are offered were tried, and do what they say."""

import time
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from minglibc.app import resolution, source_hints
from minglibc.app.suggestions import suggestions
from minglibc.resolve.explain import NO_SOURCES, SourceHint
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.suggestions import Offers, offers
from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """B 2.0 needs glibc 2.28 and Python 3.10; a 2.0 needs it; so does new 1.0, and a pre-release after it does not; old pins b below 2."""
    index.add(build_wheel("a", "1.0", requires=["b<2"]))
    index.add(build_wheel("a", "2.0", requires=["b>=2"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0", manylinux(28), requires_python=">=3.10"))
    index.add(build_wheel("c", "1.0", "cp310-abi3-manylinux_2_17_x86_64"))
    index.add(build_wheel("new", "1.0", requires=["b>=2"]))
    index.add(build_wheel("new", "2.0rc1"))
    index.add(build_wheel("d", "2.0", manylinux(31)))
    index.add(build_wheel("deep", "2.0", manylinux(28), requires=["d"]))
    index.add(build_wheel("old", "1.0", requires=["b==1.0"]))
    return Project(tmp_path, index)


def offered(project: Project) -> list[str]:
    """What is offered for the project as it is written, which must have no answer."""
    with project.session() as session:
        with pytest.raises(Unresolvable) as failure:
            resolve_all(session.roots, session.compatibilities, session.wheel_index, policy=session.policy)
        return [*suggestions(session, failure.value, time.thread_time() + 2).texts]


CASES: dict[str, tuple[list[str], dict[str, Any], list[str]]] = {
    "the cap alone": (
        ["b>=2"],
        {"python": ["3.11"]},
        ['tool.minglibc.glibc = "2.28" (locks b 2.0)', '"b" in place of "b>=2" (locks b 1.0)'],
    ),
    "no cap helps": (["b>=2"], {}, ['"b" in place of "b>=2" (locks b 1.0)']),
    "a dependency's": (["a>=2"], {}, ['"a" in place of "a>=2" (locks a 1.0)']),
    "one of two Pythons": (["c"], {"python": ["3.9", "3.11"]}, ['tool.minglibc.python = ["3.11"]']),
    "several Pythons at once": (["c"], {"python": ["3.8", "3.9", "3.11"]}, ['tool.minglibc.python = ["3.11"]']),
    "an architecture": (
        ["c"],
        {"python": ["3.11"], "architectures": ["x86_64", "aarch64"]},
        ['tool.minglibc.architectures = ["x86_64"]'],
    ),
    "a constraint": (["b"], {"constraints": ["b<1"]}, ['no constraint "b<1" (locks b 1.0)']),
    "pre-releases": (["new"], {}, ['tool.minglibc.prereleases = ["new"] (locks new 2.0rc1)']),
    "two that quarrel": (
        ["old", "b>=2"],
        {"python": ["3.11"], "glibc": "2.28"},
        ['"b" in place of "b>=2" (locks b 1.0)'],
    ),
    "a Python and the cap together": (
        ["b>=2"],
        {"python": ["3.9", "3.11"], "constraints": ["b>=2"]},
        ['tool.minglibc.python = ["3.11"] with tool.minglibc.glibc = "2.28" (locks b 2.0)'],
    ),
    "a cap behind the conflict": (
        ["deep"],
        {"python": ["3.11"]},
        ['tool.minglibc.glibc = "2.34" (locks deep 2.0)'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_offers(project: Project, case: str) -> None:
    """Each kind of change is offered where it works, in the words to write, with the release that it locks."""
    dependencies, settings, expected = CASES[case]
    assert expected == offered(project.write(*dependencies, **settings))


def test_nothing_works(project: Project) -> None:
    """Where no small change helps, none is offered."""
    assert [] == offered(project.write("zzz"))


@pytest.mark.parametrize("others", [(), ("b",), ("b>=2", "deep")])
def test_a_name_that_no_index_has(project: Project, others: tuple[str, ...]) -> None:
    """A misspelt name is to be corrected: no build and no change of another requirement is suggested."""
    project.index.add(build_source("unbuilt", "1.0"))
    ran = project.write(*others, "unbuilt", "zzz").run("lock")
    hints = [line for line in ran.err.splitlines() if line.startswith("hint: ")]
    assert ["hint: check the spelling, or add the index that has it as [[tool.minglibc.index]]"] == hints
    assert "allow-sdist" not in ran.err


def test_offers_keep_their_word(project: Project) -> None:
    """Who writes what was offered gets a lock with just the releases that were told."""
    project.write("b>=2", python=["3.11"])
    assert 1 == project.run("lock").code
    assert 0 == project.write("b>=2", python=["3.11"], glibc="2.28").run("lock").code
    assert ["2.0"] == [row["locked"] for row in project.json("outdated")]
    assert 0 == project.write("b", python=["3.11"]).run("lock", "-U").code
    assert ["1.0"] == [row["locked"] for row in project.json("outdated")]


def test_the_load_of_the_machine_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only CPU time and the waits for an index are limited: what took long because of other processes is offered."""
    clock = count(step=9)
    monkeypatch.setattr("minglibc.resolve.suggestions.time.monotonic", lambda: next(clock))
    assert ['tool.minglibc.glibc = "2.28" (locks b 2.0)', '"b" in place of "b>=2" (locks b 1.0)'] == offered(
        project.write("b>=2", python=["3.11"])
    )


def test_limit_of_suggestions(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit, the command that tries other caps is named, and only what was verified is suggested."""
    monkeypatch.setattr(resolution, "_SUGGESTIONS", -1.0)
    monkeypatch.setattr(source_hints, "capped", lambda provider: [])
    ran = project.write("b>=2", python=["3.11"]).run("lock")
    assert "verified)" not in ran.err
    assert (
        "hint: no suggestion could be verified within the limits for them; `minglibc caps` tries other caps" in ran.err
    )
    assert 0 == project.run("caps").code


@pytest.mark.parametrize(("seconds", "budget"), [(0.0, 1.0), (1.0, 1.0), (4.0, 2.0), (60.0, 5.0)])
def test_hints_take_half_of_the_time_of_the_refusal(
    project: Project, seconds: float, budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hints together have half of the CPU time of the search, within one and five seconds; suggestions end halfway."""
    ends: dict[str, float] = {}

    def no_suggestions(session: object, failure: object, until: float) -> Offers:
        ends["suggestions"] = until
        return Offers()

    def no_source(session: object, failure: object, offers: object, until: float) -> SourceHint:
        ends["sources"] = until
        return NO_SOURCES

    monkeypatch.setattr("minglibc.app.suggestions.suggestions", no_suggestions)
    monkeypatch.setattr("minglibc.app.source_hints.source_hint", no_source)
    monkeypatch.setattr("minglibc.app.resolution.time.thread_time", lambda: 100.0)
    with project.write("b>=2", python=["3.11"]).session() as session:
        with pytest.raises(Unresolvable) as failure:
            resolve_all(session.roots, session.compatibilities, session.wheel_index, policy=session.policy)
        resolution.explained(session, failure.value, seconds)
    assert {"suggestions": 100 + budget / 2, "sources": 100 + budget} == ends


def test_no_suggestion_takes_the_time_of_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change may take half of what is left; none is tried after the end, and others could have been tried then."""
    limits: list[float] = []
    with project.write("b>=2", "a", python=["3.9", "3.11"]).session() as session:
        with pytest.raises(Unresolvable) as failure:
            resolve_all(session.roots, session.compatibilities, session.wheel_index, policy=session.policy)
        clock = count()
        monkeypatch.setattr("minglibc.resolve.suggestions.time.thread_time", lambda: next(clock))
        result = offers(
            failure.value,
            session.roots,
            session.settings.targets,
            session.policy,
            lambda proposal, patience: limits.append(patience),
            until=3,
        )
    assert [1.5, 1, 0.5, 0] == limits
    assert Offers((), complete=False) == result


@pytest.mark.parametrize(
    ("more", "suggested", "parent"),
    [
        ("", 'tool.minglibc.no-extras = ["windows"]', ""),
        # The requirement is in another extra, too.
        ('all = ["NAME[windows]"]\n', 'tool.minglibc.excludes = ["winonly"]', " (of extra windows)"),
    ],
)
def test_an_extra_for_other_machines(project: Project, more: str, suggested: str, parent: str) -> None:
    """For a package that only extras require, the setting that skips the extra or the package is suggested, and works as written."""
    project.index.add(build_wheel("winonly", "1.0", "cp311-cp311-win_amd64"))
    pyproject = project.write("a", python=["3.11"]).folder / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    name = tomllib.loads(text)["project"]["name"]
    text += f'\n[project.optional-dependencies]\nwindows = ["winonly"]\n{more.replace("NAME", name)}'
    pyproject.write_text(text, encoding="utf-8")
    assert f"hint: this would work (verified): {suggested}{parent}" in project.run("lock").err
    line = suggested.removeprefix("tool.minglibc.")
    pyproject.write_text(text.replace("[tool.minglibc]", f"[tool.minglibc]\n{line}"), encoding="utf-8")
    assert 0 == project.run("lock").code
