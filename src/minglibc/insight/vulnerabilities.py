"""Known vulnerabilities of releases, and the release and cap that fix them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minglibc.insight.held_back import needed_cap
from minglibc.insight.replay import CompatibilityAt
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target

ATTRIBUTION = "Vulnerability data from OSV (https://osv.dev), CC BY 4.0"


class Advisory(NamedTuple):
    """A known vulnerability of a release, as the index reports it (from OSV)."""

    id: str
    aliases: tuple[str, ...] = ()
    fixed_in: tuple[str, ...] = ()
    summary: str = ""
    link: str = ""

    @property
    def names(self) -> str:
        """Up to two identifiers, CVE identifiers first."""
        known = sorted({self.id, *self.aliases}, key=lambda name: (not name.startswith("CVE-"), name != self.id, name))
        return ", ".join(known[:2])


# Name and version → the release's advisories. None, or a missing key, means that the index has no data on the release.
Known = Mapping[tuple[str, str], tuple[Advisory, ...] | None]


class Remedy(NamedTuple):
    """The first fixed release that some cap allows, and that cap; None if the current cap allows it."""

    version: str
    needs: Cap | None


def find_remedy(
    advisory: Advisory, page: ProjectPage, locked: str, target: Target, compatibility_at: CompatibilityAt
) -> Remedy | None:
    """The first release above *locked* that fixes *advisory*, under the target's own cap if possible, else under the lowest cap that allows one."""
    positions = [page.versions.index_of(version) for version in advisory.fixed_in]
    floor = page.versions.index_of(locked)
    fixes = [position for position in positions if position is not None and (floor is None or position > floor)]
    if not fixes:
        return None
    best: Remedy | None = None
    for position in range(min(fixes), len(page.versions)):
        if page.versions.prereleases >> position & 1 or not _is_fixed(page, position, fixes):
            continue
        if compatibility_at(target).best(page, position) is not None:
            return Remedy(page.versions.texts[position], None)
        needs = needed_cap(compatibility_at(target), page, position)
        if needs and (best is None or best.needs is None or needs < best.needs):
            best = Remedy(page.versions.texts[position], needs)
    return best


def _is_fixed(page: ProjectPage, position: int, fixes: Sequence[int]) -> bool:
    """Whether a version includes a fix: its own branch's, or the last one; the next branch's first releases may lack it."""
    branch = page.versions.texts[position].rpartition(".")[0]
    return position >= max(fixes) or any(
        position >= fix and page.versions.texts[fix].rpartition(".")[0] == branch for fix in fixes
    )
