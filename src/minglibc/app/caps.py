"""The use case of `caps`: the project resolved under every glibc cap at which the result changes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minglibc.app.explain import ExplainOptions, open_advisories
from minglibc.app.lock_file import read_lock_file
from minglibc.app.lock_request import project_request, request_of
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from minglibc.errors import SettingsError
from minglibc.insight import caps
from minglibc.model.targets import Target


class CapComparison(NamedTuple):
    """The resolutions under each range of caps."""

    ranges: Sequence[caps.CapRange]
    newest: Mapping[str, str]
    """The newest release of each package; a pre-release only where there is nothing else."""
    targets: Sequence[Target]


def compare_caps(options: ExplainOptions, reporter: Reporter = SILENT) -> CapComparison:
    """What the project or the named lock resolves to under each cap; the project need not be locked."""
    request = (
        request_of(read_lock_file(options.common, options.lock), options.overrides)
        if options.lock
        else project_request(options.common, options.overrides)
    )
    with open_session(request, options.common, reporter) as session:
        if all(target.cap.libc == "musl" for target in session.settings.targets):
            raise SettingsError(
                "`caps` compares glibc caps, and no target has glibc",
                hint="`minglibc outdated` lists what the musl cap holds back",
            )
        return compare_session(session, options, reporter)


def compare_session(session: Session, options: ExplainOptions, reporter: Reporter) -> CapComparison:
    """The comparison for an open session."""
    targets = list({target.kind: target for target in session.settings.targets}.values())
    ranges = caps.compare_caps(
        session.roots, targets, session.compatibilities[0].at, session.wheel_index, policy=session.policy
    )
    newest = _newest_releases(session, ranges)
    releases = {release for cap_range in ranges for release in cap_range.releases}
    known = open_advisories(session, options, reporter)(releases, newest=newest.items())
    return CapComparison(caps.with_vulnerabilities(ranges, known), newest, session.settings.targets)


def _newest_releases(session: Session, ranges: Sequence[caps.CapRange]) -> dict[str, str]:
    newest = {}
    for name in {name for cap_range in ranges for name in cap_range.versions}:
        versions = session.wheel_index.project(name).versions
        finals = versions.all & ~versions.prereleases or versions.all
        newest[name] = str(versions.texts[finals.bit_length() - 1])
    return newest
