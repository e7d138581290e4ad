"""The settings of a project: the values that pyproject.toml is parsed into, and the keys of its tables."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.config.default_pythons import DefaultPythons

DEFAULT_ARCHITECTURES = ("x86_64",)
RESOLUTIONS = ("highest", "lowest", "lowest-direct")
FORK_STRATEGIES = ("fewest", "requires-python")
FILE_CONFLICTS = ("warn", "error")
TOOLCHAINS = ("system", "zig")

# The keys of [tool.minglibc].
KEYS = (
    "glibc",
    "musl",
    "python",
    "architectures",
    "target",
    "index-url",
    "index",
    "sources",
    "prereleases",
    "exclude-newer",
    "exclude-newer-package",
    "allow-linux-tag",
    "allow-sdist",
    "verify",
    "default-groups",
    "from",
    "constraints",
    "overrides",
    "excludes",
    "no-extras",
    "no-groups",
    "file-conflicts",
    "cpu",
    "libstdcxx",
    "resolution",
    "fork-strategy",
    "toolchain",
    "built-wheels",
    "graft",
    "build-newer",
)
INDEX_KEYS = ("name", "url", "default", "explicit", "format")
INDEX_FORMATS = ("simple", "flat")
TARGET_KEYS = ("name", "glibc", "musl", "python", "architecture", "libstdcxx")


class Overrides(NamedTuple):
    """Settings from the command line or the environment, which take precedence; None or empty if not given."""

    glibc: str | None = None
    musl: str | None = None
    python: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    index_url: str | None = None
    prereleases: bool | None = None
    exclude_newer: str | None = None
    resolution: str | None = None
    toolchain: str | None = None
    allow_sdist: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    no_extra: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    no_group: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, Any]:
        """The values that are given, by the names of their keys in [tool.minglibc]."""
        return {
            field.replace("_", "-"): list(value) if isinstance(value, tuple) else value
            for field, value in self._asdict().items()
            if value is not None and value != ()
        }


class NamedIndex(NamedTuple):
    """A [[tool.minglibc.index]]: *default* replaces PyPI, *explicit* is used only for packages pinned to it."""

    name: str
    url: str
    default: bool = False
    explicit: bool = False
    # A simple index has a page for each project (PEP 503); a flat one is a single page of files, as for pip's --find-links.
    format: str = "simple"
    # Whether it is used for what the default index does not have, as Poetry's supplemental ones.
    after: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or a page on this machine."""
        return not self.url.lower().startswith(("https://", "http://"))


class PathSource(NamedTuple):
    """The path, from the lock's folder, of a project's wheel, source distribution or source tree."""

    path: str
    editable: bool = False


class DynamicProject(NamedTuple):
    """A [project] table with its dynamic dependencies, the files that these are from, and the fields that need a build."""

    project: dict[str, Any]
    files: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()


class OtherSources:
    """Sources in the tables of other tools: folders and files, indexes by package, their addresses, and URLs of wheels.

    *urls* has the URL of a wheel for each marker; without a URL, the default index has the package.
    """

    def __init__(
        self,
        paths: Mapping[str, PathSource] = {},
        pinned: Mapping[str, str] = {},
        indexes: tuple[NamedIndex, ...] = (),
        urls: Mapping[str, list[tuple[str, str]]] = {},
    ) -> None:
        self.paths = paths
        self.pinned = pinned
        self.indexes = indexes
        self.urls = urls


class Settings(NamedTuple):
    """Everything that a lock depends on, except the contents of the indexes."""

    project: str
    requires_python: str
    targets: tuple[Target, ...]
    target_names: dict[str, Target]
    requirements: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]
    groups: dict[str, tuple[Requirement, ...]]
    default_groups: tuple[str, ...]
    constraints: tuple[Requirement, ...]
    overrides: tuple[Requirement, ...]
    excludes: frozenset[str]
    resolution: str
    index_url: str | None
    indexes: tuple[NamedIndex, ...]
    sources: dict[str, str]
    paths: dict[str, PathSource]
    prereleases: bool | frozenset[str]
    exclude_newer: datetime | None
    exclude_newer_package: dict[str, datetime | None]
    allow_linux_tag: frozenset[str]
    allow_sdist: frozenset[str]
    verify: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    fork_strategy: str = FORK_STRATEGIES[0]
    files: tuple[str, ...] = ()
    """The other files that the settings were read from, relative to the lock's folder."""
    default_pythons: "DefaultPythons | None" = None
    """The Pythons that were selected without a setting; None where one names them."""
    toolchain: str = TOOLCHAINS[0]
    """The compilers that builds use."""
    cpu: str = CPU_LEVELS[0]
    """The level of x86-64 that wheels may need, with ``verify``."""
    graft: frozenset[str] = frozenset()
    """The shared libraries of the build machine that are copied into wheels, without "lib" and ".so"."""
    build_newer: frozenset[str] = frozenset()
    """Those packages of *allow_sdist* whose failed builds are skipped for an older release."""
    unbuilt: tuple[str, ...] = ()
    """The dynamic fields of [project] that are known only after a build."""
    no_extras: tuple[str, ...] = ()
    """The extras of the project that are not locked, and so not among *extras*."""
    no_groups: tuple[str, ...] = ()
    """The same for dependency groups."""
    built_wheels: str = ""
    """The folder, from the lock's folder, for wheels that `lock` builds; empty where the lock has sources instead."""
