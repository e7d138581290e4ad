"""Known vulnerabilities of releases, and the release and the cap that would be rid of one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minglibc.insight.held_back import needed_cap
from minglibc.insight.replay import CompatibilityAt
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target


class Advisory(NamedTuple):
    """A known vulnerability of a release, as the index tells of it (from OSV)."""

    id: str
    aliases: tuple[str, ...] = ()
    fixed_in: tuple[str, ...] = ()
    summary: str = ""
    link: str = ""

    @property
    def names(self) -> str:
        """Its identifiers, the CVE first: that is the one that people know."""
        known = sorted({self.id, *self.aliases}, key=lambda name: (not name.startswith("CVE-"), name != self.id, name))
        return ", ".join(known[:2])


# Name and version → what is known of that release; None where the index does not say. Absent means the same.
Known = Mapping[tuple[str, str], tuple[Advisory, ...] | None]


class Remedy(NamedTuple):
    """The first release without a vulnerability that some cap admits, and that cap; None for today's."""

    version: str
    needs: Cap | None


def remedy(
    advisory: Advisory, page: ProjectPage, locked: str, target: Target, compatibility_at: CompatibilityAt
) -> Remedy | None:
    """Where *target* finds a release above *locked* that is rid of *advisory*: within its cap if there is one, else at the lowest."""
    positions = [page.versions.index_of(version) for version in advisory.fixed_in]
    floor = page.versions.index_of(locked)
    fixed = [position for position in positions if position is not None and (floor is None or position > floor)]
    if not fixed:
        return None
    best: Remedy | None = None
    for position in range(min(fixed), len(page.versions)):
        if page.versions.prereleases >> position & 1 or not _is_mended(page, position, fixed):
            continue
        if compatibility_at(target).best(page, position) is not None:
            return Remedy(page.versions.texts[position], None)
        needs = needed_cap(compatibility_at(target), page, position)
        if needs and (best is None or best.needs is None or needs < best.needs):
            best = Remedy(page.versions.texts[position], needs)
    return best


def _is_mended(page: ProjectPage, position: int, fixed: Sequence[int]) -> bool:
    """Whether a fix reaches a version: its own branch's fix, or the last of all; the next branch's first releases have none."""
    branch = page.versions.texts[position].rpartition(".")[0]
    return position >= max(fixed) or any(
        position >= each and page.versions.texts[each].rpartition(".")[0] == branch for each in fixed
    )
