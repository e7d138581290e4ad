"""The passes that find an answer without a search: each choice is the first of all dependencies on it."""

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from minglibc.errors import ProjectNotFound
from minglibc.index.page_file import File
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.requirements import Requirement, parse
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import Provider, Root
from minglibc.resolve.passes import settle
from minglibc.resolve.resolver import resolve

JUDGE = TargetCompatibility(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 28)))
# Requirements of each version of each project.
Projects = Mapping[str, Mapping[int, tuple[str, ...]]]


class Shelf:
    """An index of pure wheels, held in memory."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self.read: list[str] = []

    def project(self, name: str) -> ProjectPage:
        """The page with all of the project's versions."""
        if name not in self._projects:
            raise ProjectNotFound(name)
        files = [File(f"{name}-{n}.0-py3-none-any.whl", f"https://example.invalid/{n}") for n in self._projects[name]]
        return reduce_files(name, files, base_url="https://example.invalid/")

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """What the version requires."""
        self.read.append(f"{wheel.name} {wheel.version}")
        return CoreMetadata(wheel.name, wheel.version, self._projects[wheel.name][int(wheel.version.partition(".")[0])])

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Nothing is ever late here."""


def roots(*texts: str) -> list[Root]:
    """The project's requirements."""
    return [Root(parse(text), "the project") for text in texts]


def versions(wheels: Mapping[str, Artifact]) -> dict[str, str]:
    """The versions by name."""
    return {name: wheel.version for name, wheel in wheels.items()}


def settled(requirements: list[Root], shelf: Shelf, preferences: Mapping[str, str] = {}) -> dict[str, str] | None:
    """The versions that the passes find, by name."""
    provider = Provider(shelf, JUDGE, preferences=preferences)
    solution = settle(provider, [dependency for group in provider.roots(requirements).values() for dependency in group])
    return None if solution is None else {pin.name: pin.wheel.version for pin in solution.pins.values()}


CLICK = Shelf({"app": {1: ("cli", "tool")}, "cli": {1: (), 2: (), 3: ()}, "tool": {1: ("cli>=2,<3",)}})


def test_choices_are_revised() -> None:
    """A requirement that is read late and needs an older release is satisfied without a search."""
    assert {"app": "1.0", "tool": "1.0", "cli": "2.0"} == settled(roots("app"), CLICK)


def test_preference_that_a_later_requirement_excludes() -> None:
    """A preferred version that is excluded is replaced by the newest allowed one; other preferences are kept."""
    preferences = {"cli": "1.0", "tool": "1.0"}
    assert {"app": "1.0", "tool": "1.0", "cli": "2.0"} == settled(roots("app"), CLICK, preferences)


def test_requirements_of_dropped_versions_have_no_effect() -> None:
    """If the version that required an older release is not selected, the newest release is."""
    shelf = Shelf({
        "app": {1: ("cli", "tool", "rule")},
        "cli": {1: (), 2: ()},
        "tool": {1: (), 2: ("cli<2",)},
        "rule": {1: ("tool<2",)},
    })  # fmt: skip
    assert {"app": "1.0", "cli": "2.0", "tool": "1.0", "rule": "1.0"} == versions(
        resolve(roots("app"), JUDGE, shelf).artifacts
    )


NAMES = st.sampled_from(["a", "b", "c", "d"])
BOUNDS = st.sampled_from(["", "<2", "<3", ">=2", "==1.*", "!=3.*", ">=4"])
PROJECTS = st.fixed_dictionaries({
    name: st.dictionaries(
        st.integers(1, 4), st.lists(st.builds("{}{}".format, NAMES, BOUNDS), max_size=2).map(tuple), min_size=1
    )
    for name in ("a", "b", "c", "d")
})  # fmt: skip


@given(PROJECTS, st.lists(st.builds("{}{}".format, NAMES, BOUNDS), min_size=1, max_size=3), st.dictionaries(NAMES, st.sampled_from(["1.0", "2.0", "3.0"])))  # fmt: skip
def test_each_version_is_the_first_choice(
    projects: Projects, requested: list[str], preferences: dict[str, str]
) -> None:
    """A resolution is complete and satisfies all requirements, and each version is the preferred or the newest allowed one."""
    shelf = Shelf(projects)
    solution = settled(roots(*requested), shelf, preferences)
    if solution is None:
        return
    required: dict[str, list[Requirement]] = {}
    for text in requested:
        required.setdefault(parse(text).name, []).append(parse(text))
    for name, version in solution.items():
        for text in projects[name][int(version.partition(".")[0])]:
            required.setdefault(parse(text).name, []).append(parse(text))
    assert required.keys() == solution.keys()
    for name, requirements in required.items():
        page = shelf.project(name)
        mask = page.versions.all
        for requirement in requirements:
            mask &= page.versions.mask(requirement.specifier)
        admitted = [text for position, text in enumerate(page.versions.texts) if mask >> position & 1]
        first = preferences[name] if preferences.get(name) in admitted else admitted[-1]
        assert first == solution[name]
