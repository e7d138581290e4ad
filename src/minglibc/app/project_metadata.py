"""The dependencies of the project itself that only a build can tell, from the metadata that its build backend writes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from minglibc.app.build_environment import BuildContext
from minglibc.app.indexes import open_index
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.source_builds import SourceBuilder
from minglibc.cache.pages import Store
from minglibc.config.settings import Settings
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.requirements import normalize_name
from minglibc.resolve.prefetch import Speculation

_EXTRA = re.compile(r"""extra\s*==\s*(?P<quote>["'])(?P<name>.*?)(?P=quote)""")
# Markers that all targets admit, or none.
_TRUE, _FALSE = 'python_version >= "3"', 'python_version < "3"'


def built_fields(
    settings: Settings, folder: str, common: CommonOptions, reporter: Reporter, *, builds: bool
) -> Mapping[str, Any]:
    """The fields of [project] of the project in *folder*; raises MinglibcError.

    Unless it *builds*, they are only known if another command has built them.
    """
    index = open_index(settings, common, Store(common.cache_folder), lambda: Speculation([], ()), folder=folder)
    try:
        context = BuildContext(common, folder, index.credentials, settings, index.url, reporter)
        targets = sorted(settings.targets, key=lambda target: target.python)
        with SourceBuilder(context, targets, builds=builds) as builder:
            return fields_of(builder.project_metadata(settings.project, folder))
    finally:
        index.close()


def fields_of(metadata: CoreMetadata) -> dict[str, Any]:
    """The requirements in *metadata* as fields of [project]."""
    extras = [normalize_name(extra) for extra in metadata.provides_extra]
    return {
        "dependencies": [text for text in metadata.requires_dist if not _EXTRA.search(text)],
        "optional-dependencies": {extra: [*_of_extra(metadata.requires_dist, extra)] for extra in extras},
        "requires-python": metadata.requires_python,
    }


def _of_extra(requirements: tuple[str, ...], extra: str) -> Iterator[str]:
    """The *requirements* of the *extra*, whose markers no longer name it."""
    for text in requirements:
        requirement, _, marker = text.partition(" ;" if " ;" in text else ";")
        if extra not in (normalize_name(match["name"]) for match in _EXTRA.finditer(marker)):
            continue
        marker = _EXTRA.sub(lambda match: _TRUE if normalize_name(match["name"]) == extra else _FALSE, marker).strip()
        marker = marker.removesuffix(f" and {_TRUE}")
        yield requirement.strip() if marker == _TRUE else f"{requirement.strip()} ; {marker}"
