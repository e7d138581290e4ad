"""Dependencies that [project] declares as dynamic and that other files contain: those of setuptools and hatch-requirements-txt.

The build backends read them from the files; what only a build can tell is a problem.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minglibc.config import files
from minglibc.config.lock_source import leads_out
from minglibc.config.problems import Problems, is_name
from minglibc.config.settings import DynamicProject
from minglibc.config.toml_file import nested_table
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    import configparser

_FIELDS = ("dependencies", "optional-dependencies")
_SETUP_CFG = "setup.cfg"
_REQUIREMENTS = "requirements.txt"


# Files that builds commonly read dependencies from, besides pyproject.toml.
_BUILD_FILES = ("setup.py", _SETUP_CFG, "hatch_build.py", "pdm_build.py", "build.py", "PKG-INFO")
_BUILD_PATTERNS = ("requirements*.txt", "requirements*.in", "requirements/*.txt", "requirements/*.in")


def with_dynamic(
    document: Mapping[str, Any],
    problems: Problems,
    folder: str | None,
    *,
    is_built: bool = False,
    built: Mapping[str, Any] | None = None,
) -> DynamicProject:
    """The [project] table of the *document* in *folder* with the dependencies that it declares as dynamic.

    Without *folder*, no other file is read, and the dynamic dependencies are missing. What only a build can tell is taken
    from *built*; without it, it is a problem unless the project *is_built*.
    """
    project = document.get("project")
    table = dict(project) if isinstance(project, dict) else {}
    dynamic = table.get("dynamic")
    fields = [field for field in (*_FIELDS, "requires-python") if isinstance(dynamic, list) and field in dynamic]
    if not fields or folder is None:
        return DynamicProject(table)
    reader = _Reader(document, problems, folder, is_built=is_built)
    for field in fields:
        if field in table:
            problems.add("project.dynamic", f"lists {field}, which [project] has as well; keep one of them")
        elif (value := reader.read(field)) is not None:
            table[field] = value
    if built is None:
        return DynamicProject(table, reader.files, reader.unbuilt)
    return DynamicProject(
        {**table, **{field: built[field] for field in reader.unbuilt if field in built}}, reader.files
    )


def may_build(document: Mapping[str, Any]) -> bool:
    """Whether the settings in *document* allow a build of the project itself."""
    project, tool = document.get("project"), document.get("tool")
    own = tool.get("minglibc") if isinstance(tool, dict) else None
    name = project.get("name") if isinstance(project, dict) else None
    if not isinstance(own, dict) or not isinstance(name, str):
        return False
    listed = [own.get(key) for key in ("allow-sdist", "build-newer")]
    names = [item for items in listed if isinstance(items, list) for item in items if isinstance(item, str)]
    return normalize_name(name) in map(normalize_name, names)


def build_files(document: Mapping[str, Any], folder: str) -> list[str]:
    """The files in *folder* that the build of *document* probably reads dependencies from."""
    from glob import glob  # noqa: PLC0415  5 ms; few projects are built

    hooks = nested_table(document, "tool", "hatch", "metadata", "hooks").values()
    named = [*(hook.get("path") for hook in hooks if isinstance(hook, dict))]
    named.append(nested_table(document, "tool", "pdm", "build").get("custom-hook"))
    paths = [*_BUILD_FILES, *(path for path in named if isinstance(path, str) and path.isprintable())]
    paths += [path for pattern in _BUILD_PATTERNS for path in sorted(glob(pattern, root_dir=folder))]
    return [path for path in paths if os.path.isfile(os.path.join(folder, path)) and not leads_out(path, folder)]


class _Reader:
    """Reads the dynamic fields of one project."""

    def __init__(self, document: Mapping[str, Any], problems: Problems, folder: str, *, is_built: bool) -> None:
        """*is_built*: whether a build tells the fields that no file does."""
        self._document = document
        self._problems = problems
        self._folder = folder
        self._is_built = is_built
        self._files_read: list[str] = []
        self._unbuilt: list[str] = []

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the fields depend on."""
        read = build_files(self._document, self._folder) if self._unbuilt else []
        return tuple(dict.fromkeys([*self._files_read, *read]))

    @property
    def unbuilt(self) -> tuple[str, ...]:
        """The fields that are known only after a build."""
        return tuple(self._unbuilt)

    def read(self, field: str) -> Any:
        """The value of *field*; None if only a build can tell, with a problem if that is not allowed."""
        for source in (self._of_setuptools, self._of_setup_cfg, self._of_hatch):
            value = source(field)
            if value is not None:
                return value
        if self._is_built:
            self._unbuilt.append(field)
            return None
        name = nested_table(self._document, "project").get("name")
        message = f"lists {field}, which only a build can tell; write project.{field}"
        if isinstance(name, str) and is_name(name):
            advice = self._advice(name)
            self._problems.add_unbuilt("project.dynamic", f"{message}, {advice}", normalize_name(name))
        else:
            self._problems.add("project.dynamic", message)
        return None

    def _advice(self, name: str) -> str:
        path = _REQUIREMENTS if os.path.isfile(os.path.join(self._folder, _REQUIREMENTS)) else "FILE"
        return (
            f'allow a build with allow-sdist = ["{name}"] under [tool.minglibc], or lock a requirements file: '
            f"`minglibc lock -r {path}`"
        )

    def _of_setuptools(self, field: str) -> Any:
        key = f"tool.setuptools.dynamic.{field}"
        value = nested_table(self._document, "tool", "setuptools", "dynamic").get(field)
        if not isinstance(value, dict) or field not in _FIELDS:
            return None
        if field == "dependencies":
            return self._files(value.get("file"), f"{key}.file")
        return {name: self._files(_file(item), f"{key}.{name}.file") for name, item in value.items()}

    def _of_hatch(self, field: str) -> Any:
        hook = ("tool", "hatch", "metadata", "hooks", "requirements_txt")
        table, key = nested_table(self._document, *hook), ".".join(hook)
        if field == "dependencies":
            paths = table.get("files", [_REQUIREMENTS] if "filename" not in table else [table["filename"]])
            return self._files(paths, f"{key}.files") if table or self._uses("hatch-requirements-txt") else None
        extras = table.get("optional-dependencies")
        if field == "optional-dependencies" and isinstance(extras, dict):
            return {name: self._files(paths, f"{key}.optional-dependencies.{name}") for name, paths in extras.items()}
        return None

    def _uses(self, requirement: str) -> bool:
        requires = nested_table(self._document, "build-system").get("requires")
        return isinstance(requires, list) and any(str(text).startswith(requirement) for text in requires)

    def _of_setup_cfg(self, field: str) -> Any:
        backend = nested_table(self._document, "build-system").get("build-backend", "setuptools.build_meta")
        if not str(backend).startswith("setuptools."):
            return None
        config = self._setup_cfg()
        if config is None:
            return None
        if field == "requires-python":
            return config.get("options", "python_requires", fallback=None)
        if field == "dependencies":
            text = config.get("options", "install_requires", fallback=None)
            return None if text is None else self._setup_cfg_list(text, "options.install_requires")
        if not config.has_section("options.extras_require"):
            return None
        extras = config.items("options.extras_require")
        return {name: self._setup_cfg_list(text, f"options.extras_require.{name}") for name, text in extras}

    def _setup_cfg(self) -> "configparser.RawConfigParser | None":
        text = files.read_file(os.path.join(self._folder, _SETUP_CFG))
        if text is None:
            return None
        import configparser  # noqa: PLC0415  2 ms; few projects have dynamic dependencies

        config = configparser.RawConfigParser()
        try:
            config.read_string(text)
        except configparser.Error as error:
            message = str(error).partition("\n")[0]
            self._problems.add("project.dynamic", f"refers to {_SETUP_CFG}, which is invalid: {message}")
            return None
        self._files_read.append(_SETUP_CFG)
        return config

    def _setup_cfg_list(self, text: str, key: str) -> list[str]:
        if text.strip().startswith("file:"):
            paths = [path.strip() for path in text.strip().removeprefix("file:").split(",")]
            return self._files(paths, "project.dynamic")
        return [*_requirements(text, lambda _, message: self._problems.add("project.dynamic", f"{key} {message}"))]

    def _files(self, value: object, key: str) -> list[str]:
        paths = [value] if isinstance(value, str) else value
        if not isinstance(paths, list) or not all(isinstance(path, str) and path.isprintable() for path in paths):
            self._problems.unexpected(key, value, 'expected the paths of requirements files: ["requirements.txt"]')
            return []
        return [requirement for path in paths for requirement in self._file(path, key)]

    def _file(self, path: str, key: str) -> Iterator[str]:
        if leads_out(path, self._folder):
            self._problems.add(key, f"refers to {path}, which is outside the project's folder")
            return
        text = files.read_file(os.path.join(self._folder, path))
        if text is None:
            self._problems.add(key, f"refers to {path}, which does not exist")
            return
        self._files_read.append(path)
        yield from _requirements(
            text, lambda line, message: self._problems.add(key, f"refers to {path}, whose line {line} {message}")
        )


def _requirements(text: str, report: Callable[[int, str], None]) -> Iterator[str]:
    """The requirements in *text*, in which build backends allow no options of pip."""
    from minglibc.config.requirements_file import Kind, lines  # noqa: PLC0415  1 ms, as above

    for line in lines(text):
        if line.kind is Kind.REQUIREMENT:
            yield line.text
        elif line.kind is Kind.PROBLEM:
            report(line.number, line.text)
        elif line.kind is not Kind.NOTE:
            report(line.number, "is an option of pip, which build backends do not read; move it to another file")


def _file(value: object) -> object:
    return value.get("file") if isinstance(value, dict) else value
