"""Direct references (PEP 508) and ``sources``: their files and folders are read and given to the index before resolving."""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from minglibc.build import source_tree
from minglibc.config.settings import Settings
from minglibc.index import local_files
from minglibc.index.client import Index
from minglibc.lock.document import Inputs
from minglibc.lock.source_files import digest
from minglibc.model.artifacts import Artifact, SourceTree, Wheel
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.direct_references import Direct, DirectPage, directs
from minglibc.model.requirements import Requirement

if TYPE_CHECKING:
    from minglibc.app.source_builds import SourceBuilder


def add_direct_references(
    index: Index,
    settings: Settings,
    requirements: Iterable[Requirement],
    inputs: Inputs,
    builder: "SourceBuilder | None",
) -> Inputs:
    """Give *index* the files and folders that *requirements* and the settings refer to; *inputs* with their digests.

    *builder* builds the metadata of folders that the settings allow to be built.
    """

    def build_of(name: str) -> Callable[[str], CoreMetadata] | None:
        if builder is None or name not in settings.allow_sdist:
            return None
        return lambda folder: builder.project_metadata(name, folder)

    local = dict(inputs.local)
    sources = {name: source.path for name, source in settings.paths.items()}
    for name, references in directs(requirements, inputs.folder, sources).items():
        metadata: dict[Artifact, CoreMetadata] = {}
        for position, reference in enumerate(references):
            if reference.path:
                references[position], paths = _read(reference, metadata, build_of(name))
                local |= {path: digest(os.path.join(inputs.folder, path)) for path in paths}
        index.seed(DirectPage(name, references), metadata)
    editable = frozenset(name for name, source in settings.paths.items() if source.editable)
    return inputs._replace(local=local, editable=editable)


def _read(
    reference: Direct, metadata: dict[Artifact, CoreMetadata], build: Callable[[str], CoreMetadata] | None
) -> tuple[Direct, list[str]]:
    """*reference* as its file is, and the files that were read; adds to *metadata*.

    A source distribution is read or built later.
    """
    match reference.artifact:
        case SourceTree() as file:
            read = source_tree.read(file, build)
            metadata[read.tree] = read.metadata
            paths = [os.path.join(reference.path, path) for path in read.files]
            return reference._replace(artifact=read.tree), paths
        case Wheel() as file:
            wheel, metadata[wheel] = local_files.read(file)
            return reference._replace(artifact=wheel), [reference.path]
        case file:
            return reference._replace(artifact=local_files.hashed(file)), [reference.path]
