"""The distributions that a project's settings name as caps, and whether they are still supported."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from minglibc.app.lenient_settings import table
from minglibc.model.distributions import Distribution, find_distribution
from minglibc.model.targets import GlibcVersion


def named_distributions(pyproject: str | None) -> list[Distribution]:
    """The distributions that `[tool.minglibc]` in the text of pyproject.toml names."""
    named = {}
    for cap in _caps(table(pyproject, "tool", "minglibc")):
        distribution = find_distribution(cap)
        if distribution is not None:
            named[distribution.name] = distribution
    return list(named.values())


def _caps(settings: dict[str, Any]) -> Iterator[str]:
    targets = settings.get("target", ())
    for item in (settings, *(targets if isinstance(targets, list) else ())):
        glibc = item.get("glibc") if isinstance(item, dict) else None
        yield from (cap for cap in (glibc.values() if isinstance(glibc, dict) else (glibc,)) if isinstance(cap, str))


def ends_of_life(pyproject: str | None, today: date) -> list[str]:
    """A sentence for each named distribution that is no longer supported *today*."""
    sentences = []
    for distribution in named_distributions(pyproject):
        if not distribution.end_of_life or date.fromisoformat(distribution.end_of_life) > today:
            continue
        name = f"{GlibcVersion.parse(distribution.glibc).named} ({distribution})"
        extended = distribution.end_of_extended_support
        if extended and date.fromisoformat(extended) > today:
            support = f"extended support ends on {extended}"
        elif extended:
            support = f"extended support ended on {extended}"
        else:
            support = "it has no extended support"
        sentences.append(f"{name} reached its end of life on {distribution.end_of_life}; {support}")
    return sentences
