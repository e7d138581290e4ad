"""What requirements and `sources` name by address or path, read and told to the index before anything is resolved."""

import os
from collections.abc import Iterable

from minglibc.build import source_tree
from minglibc.config.files import pyproject_path
from minglibc.config.settings import Settings
from minglibc.index import local_files
from minglibc.index.client import Index
from minglibc.lock.document import Inputs
from minglibc.lock.source_files import digest
from minglibc.model.artifacts import Artifact, SourceTree, Wheel
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.direct_references import Direct, DirectPage, directs
from minglibc.model.requirements import Requirement


def seed(index: Index, settings: Settings, named: Iterable[Requirement], place: str, inputs: Inputs) -> Inputs:
    """Give *index* what is *named* by address or path; *inputs* with what the lock in *place* says of it."""
    local: dict[str, str] = {}
    sources = {name: source.path for name, source in settings.paths.items()}
    for name, found in directs(named, place, sources).items():
        known: dict[Artifact, CoreMetadata] = {}
        for position, direct in enumerate(found):
            if direct.path:
                read = found[position] = _read(direct, known)
                beside = pyproject_path(direct.path) if isinstance(read.artifact, SourceTree) else direct.path
                local[beside] = digest(os.path.join(place, beside))
        index.seed(DirectPage(name, found), known)
    editable = frozenset(name for name, source in settings.paths.items() if source.editable)
    return inputs._replace(local=local, editable=editable)


def _read(direct: Direct, known: dict[Artifact, CoreMetadata]) -> Direct:
    """*direct* as its file is; what that requires becomes *known*, but for a source, which is read or built later."""
    file = direct.artifact
    match file:
        case SourceTree():
            folder, metadata = source_tree.read(file)
            known[folder] = metadata
            return direct._replace(artifact=folder)
        case Wheel():
            wheel, metadata = local_files.read(file)
            known[wheel] = metadata
            return direct._replace(artifact=wheel)
        case _:
            return direct._replace(artifact=local_files.hashed(file))
