"""Rules of uv and PDM for the contents of a lock, as settings of [tool.minglibc] and as dependency groups."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

# Settings of uv with the same meaning, as far as they affect what is locked or installed.
UV_SETTINGS = {
    "constraint-dependencies": "constraints",
    "override-dependencies": "overrides",
    "exclude-dependencies": "excludes",
    "exclude-newer": "exclude-newer",
    "exclude-newer-package": "exclude-newer-package",
    "resolution": "resolution",
}
# Where uv names indexes.
INDEXES_OF_UV = ("index", "index-url", "extra-index-url", "find-links", "no-index")
# The keys of uv that the lock of a requirements file depends on, and those of the lock of a project.
RULES_OF_REQUIREMENTS = (*UV_SETTINGS, *INDEXES_OF_UV, "prerelease")
RULES_OF_UV = (*RULES_OF_REQUIREMENTS, "dev-dependencies", "default-groups")
PRERELEASES = {"allow": True, "disallow": False}
# What uv does without this setting, as nearly as minglibc can.
_USUAL_PRERELEASES = ("if-necessary", "if-necessary-or-explicit", "explicit")
# Settings of uv that change a lock, with what to do instead.
_UNREAD = {
    "conflicts": "all extras and groups are locked together, and have to agree",
    "dependency-metadata": "the metadata of the files are used",
    "no-binary-package": "wheels are used where there are some",
    "no-binary": "wheels are used where there are some",
}

Report = Callable[[str, str], None]
"""Takes the key and the message of a mistake."""


class Rule(NamedTuple):
    """The value of a setting of [tool.minglibc], and the key of the other tool that it is read from."""

    source: str
    value: Any


def rules(document: Mapping[str, Any]) -> dict[str, Rule]:
    """The settings of [tool.minglibc] that uv and PDM have in their own tables, by name; uv's come first."""
    result: dict[str, Rule] = {}
    for name, rule in (*_of_uv(document), *_of_pdm(_tool(document, "pdm"))):
        result.setdefault(name, rule)
    return result


def _of_uv(document: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    uv = _tool(document, "uv")
    for key, name in UV_SETTINGS.items():
        if key in uv:
            yield name, Rule(f"tool.uv.{key}", uv[key])
    if uv.get("default-groups") == "all":
        yield "default-groups", Rule("tool.uv.default-groups", [*_table(document, "dependency-groups")])
    elif "default-groups" in uv:
        yield "default-groups", Rule("tool.uv.default-groups", uv["default-groups"])
    prerelease = uv.get("prerelease")
    if isinstance(prerelease, str) and prerelease in PRERELEASES:
        yield "prereleases", Rule("tool.uv.prerelease", PRERELEASES[prerelease])


def _of_pdm(pdm: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    resolution = _table(pdm, "resolution")
    if "excludes" in resolution:
        yield "excludes", Rule("tool.pdm.resolution.excludes", resolution["excludes"])
    if "allow-prereleases" in resolution:
        yield "prereleases", Rule("tool.pdm.resolution.allow-prereleases", resolution["allow-prereleases"])
    overrides = _table(resolution, "overrides")
    if overrides:
        values = [pdm_override(name, version) for name, version in overrides.items()]
        yield "overrides", Rule("tool.pdm.resolution.overrides", values)


def pdm_override(name: str, version: object) -> object:
    """An entry of PDM's overrides as a requirement."""
    if not isinstance(version, str):
        return version
    if "://" in version:
        return f"{name} @ {version}"
    # PDM reads a bare version as an exact one.
    return f"{name}{version}" if version[:1] in set("<>=!~") else f"{name}=={version}"


def unread(document: Mapping[str, Any]) -> Iterator[str]:
    """A warning for each rule that changes what the other tool locks, and is not read."""
    own = _tool(document, "minglibc")
    for name, rule in rules(document).items():
        if name in own and own[name] != rule.value and rule.value:
            yield f"{rule.source} is not read, because [tool.minglibc] has {name}"
    uv = _tool(document, "uv")
    for key, advice in _UNREAD.items():
        if uv.get(key):
            yield f"tool.uv.{key} is not read: {advice}"
    prerelease = uv.get("prerelease")
    if prerelease is not None and prerelease not in (*PRERELEASES, *_USUAL_PRERELEASES):
        yield f"tool.uv.prerelease is not read: expected one of {', '.join((*PRERELEASES, *_USUAL_PRERELEASES))}"


def with_groups(document: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """*document* with the ``dev-dependencies`` of uv and PDM among its dependency groups, as these tools have them."""
    added = _groups(document, report)
    groups = document.get("dependency-groups", {})
    if not added or not isinstance(groups, dict):
        return document
    merged = dict(groups)
    for name, requirements in added.items():
        existing = merged.get(name, [])
        merged[name] = [*existing, *requirements] if isinstance(existing, list) else existing
    return {**document, "dependency-groups": merged}


def _groups(document: Mapping[str, Any], report: Report) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    listed = _tool(document, "uv").get("dev-dependencies", [])
    if not isinstance(listed, list):
        report("tool.uv.dev-dependencies", 'is not a list of requirements: ["pytest"]')
    elif listed:
        groups["dev"] = listed
    for name, requirements in _table(_tool(document, "pdm"), "dev-dependencies").items():
        key = f"tool.pdm.dev-dependencies.{name}"
        if not isinstance(requirements, list):
            report(key, 'is not a list of requirements: ["pytest"]')
            continue
        for position, text in enumerate(requirements):
            if isinstance(text, str) and text.startswith("-e"):
                advice = 'require its name, and write NAME = { path = "…" } under [tool.minglibc.sources]'
                report(f"{key}[{position}]", f"is an editable path, which minglibc does not read; {advice}")
        groups.setdefault(name, []).extend(
            text for text in requirements if not (isinstance(text, str) and text.startswith("-e"))
        )
    return groups


def _tool(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _table(_table(document, "tool"), name)


def _table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}
