"""A locked project with its index, and the commands that explain its lock."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import tomli_w

from minglibc.app.lock_request import project_request
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from tests.support.commands import Ran, minglibc
from tests.support.elves import elf
from tests.support.index import IndexServer
from tests.support.wheels import BuiltWheel, build_wheel

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "json"


def manylinux(minor: int, *, python: str = "cp39-abi3", architecture: str = "x86_64") -> str:
    """The tag of a wheel that needs glibc 2.*minor*."""
    return f"{python}-manylinux_2_{minor}_{architecture}"


def compiled(name: str, version: str, tag: str, *needs: str, **options: Any) -> BuiltWheel:
    """A wheel with one extension module that needs the symbol versions *needs* of libc.so.6."""
    files = {f"{name}/_{name}.abi3.so": elf(needs={"libc.so.6": needs})}
    return build_wheel(name, version, tag, files=files, **options)


class Project:
    """A folder with a pyproject.toml, and its index."""

    def __init__(self, folder: Path, index: IndexServer) -> None:
        self.folder = folder
        self.index = index
        index.max_age = 0  # changes of the index are visible immediately

    def write(
        self,
        *dependencies: str,
        glibc: str | Mapping[str, str] = "2.17",
        python: Sequence[str] = ("3.9",),
        **settings: Any,
    ) -> "Project":
        """Write pyproject.toml."""
        tool: Mapping[str, Any] = {"glibc": glibc, "python": list(python), **settings}
        project = {"name": "example", "version": "0.1.0", "dependencies": list(dependencies)}
        text = tomli_w.dumps({"project": project, "tool": {"minglibc": tool}})
        (self.folder / "pyproject.toml").write_text(text, encoding="utf-8")
        return self

    @property
    def options(self) -> CommonOptions:
        """The options that name the project and its index."""
        return CommonOptions(str(self.folder), index_url=self.index.url)

    def session(self, reporter: Reporter = SILENT) -> AbstractContextManager[Session]:
        """The project opened for a resolution."""
        return open_session(project_request(self.options), self.options, reporter)

    def lock(self, *arguments: str) -> "Project":
        """Lock it."""
        ran = self.run("lock", *arguments)
        assert 0 == ran.code, ran.err
        return self

    def run(self, command: str, *arguments: str) -> Ran:
        """Run a command that uses the index."""
        return minglibc(command, "--project", str(self.folder), "--index-url", self.index.url, *arguments)

    def json(self, command: str, *arguments: str) -> Any:
        """The JSON output of a command, after validation."""
        return valid(command, self.run(command, *arguments, "--json").out)


def valid(command: str, text: str) -> Any:
    """The JSON *text*, validated with the schema of *command*'s output."""
    schema = json.loads((SCHEMAS / f"{command}.schema.json").read_text(encoding="utf-8"))
    document = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)
    return document
