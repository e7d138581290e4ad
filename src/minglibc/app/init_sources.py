"""Files of other tools that contain a project's requirements, for `init` in a folder without pyproject.toml."""

import configparser
import os
from typing import NamedTuple

from minglibc.config import files
from minglibc.config.requirements_file import Kind, lines
from minglibc.errors import SettingsError

# requirements.txt may be compiled from requirements.in.
_REQUIREMENTS = ("requirements.in", "requirements.txt")
_TO_PROJECT = "write name, version and dependencies to [project] in pyproject.toml"
# What to do about files whose requirements can't be read without the tool.
_NOT_READ = {
    "setup.py": f"{_TO_PROJECT}, or declare the dependencies as dynamic in a file that setuptools reads",
    "setup.cfg": 'write [project] with name, version and dynamic = ["dependencies"] to pyproject.toml',
    "Pipfile": "`minglibc lock --from Pipfile.lock --glibc VERSION` locks its versions",
    "environment.yml": f"{_TO_PROJECT}; minglibc installs from package indexes, not from conda channels",
    "environment.yaml": f"{_TO_PROJECT}; minglibc installs from package indexes, not from conda channels",
}


class ImportedRequirements(NamedTuple):
    """The requirements of the file *name*."""

    name: str
    requirements: tuple[str, ...]


def import_requirements(folder: str) -> ImportedRequirements | None:
    """The requirements of the files in *folder*, None if there are none; raises SettingsError where they can't be imported."""
    advice = {name: text for name, text in _NOT_READ.items() if _declares_project(os.path.join(folder, name))}
    imported = None
    for name in _REQUIREMENTS:
        text = files.read_file(os.path.join(folder, name))
        if text is not None and imported is None:
            imported = _plain_requirements(name, text)
            if imported is None:
                advice[name] = f"`minglibc lock -r {name} --glibc VERSION` locks it"
    if not advice:
        return imported
    listed = "".join(f"\n  {name}: {text}" for name, text in advice.items())
    raise SettingsError(
        f"there is no pyproject.toml in {folder}, and the requirements in other files can't be imported:{listed}",
        hint="create pyproject.toml with [project], then run `minglibc init` again",
    )


def _declares_project(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    if not path.endswith("setup.cfg"):
        return True
    # It may only configure other tools.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(files.read_file(path) or "")
    except configparser.Error:
        return True
    return parser.has_option("metadata", "name") or parser.has_option("options", "install_requires")


def _plain_requirements(name: str, text: str) -> ImportedRequirements | None:
    """The requirements of a file that has nothing else; None where it has options, hashes or paths."""
    parsed = [line for line in lines(text) if line.kind is not Kind.NOTE]
    if any(line.kind is not Kind.REQUIREMENT or line.hashes for line in parsed):
        return None
    return ImportedRequirements(name, tuple(line.text for line in parsed))
