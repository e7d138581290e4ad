"""The use case of `tags`: the wheel tags that each target accepts, best first."""

from minglibc.app.lock_request import project_request
from minglibc.app.options import CommonOptions
from minglibc.config.settings import Overrides
from minglibc.model.targets import LIBCS, PythonVersion, Target, check_architecture, check_cap, compatible_tags


def tags(common: CommonOptions, overrides: Overrides) -> list[tuple[Target, tuple[str, ...]]]:
    """The tags of each of the project's targets, or of the target that *overrides* describe without a project."""
    return [(target, tuple(compatible_tags(target))) for target in _targets(common, overrides)]


def _targets(common: CommonOptions, overrides: Overrides) -> list[Target]:
    named = {"glibc": overrides.glibc, "musl": overrides.musl}
    caps = [LIBCS[libc].parse(text) for libc in LIBCS if (text := named[libc])]
    if caps and overrides.python:
        return [
            Target(PythonVersion.parse(python), check_architecture(name), check_cap(cap, name))
            for python in overrides.python
            for name in overrides.architectures or ("x86_64",)
            for cap in caps
        ]
    return list(project_request(common, overrides).settings().targets)
