"""The pages for people: which caps are served, how tools are configured, and what a cap hides of a project."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import NamedTuple

from minglibc.model import versions
from minglibc.model.compatibility import Reason
from minglibc.model.distributions import distributions
from minglibc.model.targets import LEGACY_NAMES
from minglibc.serve.filtering import ListedFile, Removed
from minglibc.serve.page import PassedPage
from minglibc.serve.routes import Selection, path_of

SNIPPETS = {
    "pip": "pip install --index-url SERVER/CAP/simple/ NAME",
    "uv": "export UV_DEFAULT_INDEX=SERVER/CAP/simple/",
    "pdm": '[[tool.pdm.source]]\nname = "pypi"\nurl = "SERVER/CAP/simple/"',
    "Poetry": '[[tool.poetry.source]]\nname = "capped"\nurl = "SERVER/CAP/simple/"\npriority = "primary"',
    "pixi": '[pypi-options]\nindex-url = "SERVER/CAP/simple/"',
}


@cache
def _template() -> str:
    return (files("minglibc.serve") / "people.html").read_text("utf-8")


@cache
def content_security_policy() -> str:
    """The header that allows the page's own script and nothing else."""
    (script,) = re.findall(r"<script>(.*?)</script>", _template(), re.DOTALL)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _page(title: str, body: str, root: str = "") -> bytes:
    page = _template().replace("<!--title-->", escape(title)).replace("<!--body-->", body)
    return page.replace("<body>", f'<body data-root="{escape(root)}">').encode()


def home() -> bytes:
    """The page at the root of the server."""
    known = distributions().values()
    options = [("glibc-2.17", "glibc 2.17 (manylinux2014)"), ("glibc-2.28", "glibc 2.28 (manylinux_2_28)")]
    options += [("musl-1.1", "musl 1.1 (Alpine 3.12 and older)"), ("musl-1.2", "musl 1.2 (Alpine 3.13 and newer)")]
    options += [(one.name, f"{one} (glibc {one.glibc})") for one in known]
    choices = "".join(f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in options)
    snippets = "".join(
        f'<h3>{escape(tool)}</h3><div class="snippet"><pre>{escape(text)}</pre>'
        f'<button type="button" aria-label="Copy the configuration of {escape(tool)}">Copy</button></div>'
        for tool, text in SNIPPETS.items()
    )
    rows = "".join(
        f'<tr><td><a href="{escape(one.name)}/simple/">{escape(one.name)}</a></td><td>{escape(one.glibc)}</td>'
        f"<td>{escape(one.end_of_life or '-')}</td></tr>"
        for one in known
    )
    legacy = ", ".join(LEGACY_NAMES.values())
    body = f"""<header><h1>Package index with a cap</h1>
<p>The pages of this index list only the wheels that run under a version of glibc or musl.</p></header>
<form><label for="cap">Cap</label><select id="cap">{choices}</select>
<label for="name">Project</label><input id="name" autocomplete="off" spellcheck="false">
<button type="submit">Show what is hidden</button></form>
<h2>Configure a tool</h2>{snippets}
<h2>Paths</h2>
<p>A path begins with a cap: <code>glibc-2.27</code>, <code>musl-1.2</code>, a platform tag ({escape(legacy)} or
<code>manylinux_2_28</code>), or a distribution. An architecture and a Python can follow:
<code>glibc-2.27/x86_64/cp39/simple/</code>. With <code>verified</code> before <code>simple</code>, wheels are hidden that were
found to need more than their tags say.</p>
<h2>Distributions</h2><div class="scroll"><table><thead><tr><th>Name</th><th>glibc</th><th>End of life</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""
    return _page("Package index with a cap", body)


class Release(NamedTuple):
    """A release: how many files the page has, and those that it has not."""

    version: str
    listed: int
    removed: Sequence[Removed]

    @property
    def shown_by(self) -> str:
        """The lowest cap under which another file would be listed."""
        caps = [needs for item in self.removed if (needs := item.rejection.needs) is not None]
        return min(caps).named if caps else ""


def releases(kept: Mapping[str, Sequence[ListedFile]], removed: Iterable[Removed]) -> list[Release]:
    """The releases of a project, the newest first; files with invalid names have none."""
    hidden: dict[str, list[Removed]] = {}
    for item in removed:
        if item.version:
            hidden.setdefault(item.version, []).append(item)
    ordered = sorted({*kept, *hidden}, key=versions.key, reverse=True)
    return [Release(version, len(kept.get(version, ())), hidden.get(version, [])) for version in ordered]


def project(
    page: PassedPage, name: str, selection: Selection, listed: Sequence[Release], *, depth: int, invalid: int
) -> bytes:
    """The page of a project: each release with the files that *selection* hides, and the cap that shows them."""
    status = page.project_status
    note = (
        f" Its status is {status.status}{f': {status.reason}' if status.reason else ''}."
        if status.status != "active"
        else ""
    )
    empty = sum(not release.listed for release in listed)
    rows = "".join(map(_row, listed))
    skipped = (
        f" {invalid} files are ignored, because they are neither wheels nor source distributions of it."
        if invalid
        else ""
    )
    root = "../" * depth
    body = f"""<header><p><a href="{root or "./"}">All caps</a></p><h1>{escape(name)} under {escape(str(selection))}</h1>
<p>{len(listed) - empty} of {len(listed)} releases have files under this cap.{escape(note)}{escape(skipped)}
<a href="{root}{escape(path_of(selection))}/simple/{escape(name)}/">Index page</a></p></header>
<h2>Releases</h2><div class="scroll"><table><thead><tr><th>Version</th><th>Files listed</th>
<th>Lowest cap that shows more</th><th>Files hidden</th></tr></thead><tbody>{rows}</tbody></table></div>"""
    return _page(f"{name} under {selection}", body, root)


def _row(release: Release) -> str:
    hidden = ""
    if release.removed:
        items = "".join(f"<li>{escape(item.filename)}: {escape(_reason(item))}</li>" for item in release.removed)
        hidden = f"<details><summary>{len(release.removed)}</summary><ul>{items}</ul></details>"
    return (
        f"<tr><td>{escape(release.version)}</td><td>{release.listed or 'none'}</td>"
        f"<td>{escape(release.shown_by) or '-'}</td><td>{hidden or '0'}</td></tr>"
    )


def _reason(item: Removed) -> str:
    if item.rejection.reason is Reason.SOURCE_ONLY:
        return "is a source distribution"
    return str(item.rejection)
