"""The remedy of a vulnerability is one that all affected targets can have."""

import pytest

from minglibc.index.page_file import File
from minglibc.insight.outdated import ReleaseStatus, with_vulnerabilities
from minglibc.insight.vulnerabilities import Advisory
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.targets import GlibcVersion, PythonVersion, Target

OLD, NEW = (Target(PythonVersion(minor), "x86_64", GlibcVersion(2, 27)) for minor in (9, 11))


class _Explainer:
    """The only method of Explainer that is needed here."""

    def __init__(self, page: ProjectPage) -> None:
        self._page = page

    def page(self, name: str) -> ProjectPage:
        assert self._page.name == name
        return self._page


@pytest.mark.parametrize(
    ("first", "second"), [("9.0", "10.0"), ("1.9", "1.10"), ("2.0", "2.0.1"), ("2.9.post1", "2.10")]
)
@pytest.mark.parametrize("targets", [(OLD, NEW), (NEW, OLD)])
def test_the_newest_remedy_of_all_targets(first: str, second: str, targets: tuple[Target, ...]) -> None:
    """If targets need different releases, the newest is the remedy: versions are compared as versions, not as strings."""
    names = ["a-1.0-py3-none-any.whl", f"a-{first}-cp39-none-any.whl", f"a-{second}-cp311-none-any.whl"]
    files = [File(name, f"../{name}", {"sha256": "0" * 64}) for name in names]
    page = reduce_files("a", files, base_url="https://example.invalid/simple/a/")
    advisory = Advisory("PYSEC-1", fixed_in=(first,))
    status = ReleaseStatus("a", "1.0", second, None, None, targets, "", "")
    known = {("a", "1.0"): (advisory,)}
    (row,) = with_vulnerabilities([status], known, _Explainer(page), TargetCompatibility)  # type: ignore[arg-type]
    assert row.vulnerabilities is not None
    (vulnerability,) = row.vulnerabilities
    assert vulnerability.remedy is not None
    assert second == vulnerability.remedy.version
