"""The public Python API: functions that do what a command does, with typed options and a reporter.

They print nothing, return what they did, and raise ``minglibc.errors.MinglibcError``. See docs/reference/api.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minglibc.app.build import BuildOptions, BuildOutcome, build_wheels
    from minglibc.app.bundle import BundleOptions, create_bundle
    from minglibc.app.caps import CapComparison, compare_caps
    from minglibc.app.check import check_locked_files
    from minglibc.app.check_caps import CheckOptions, CheckResult
    from minglibc.app.check_folders import check_environment, check_image, check_paths, check_root
    from minglibc.app.edit import EditOptions, add_requirements, remove_requirements
    from minglibc.app.explain import ExplainOptions, explain_selection, find_outdated
    from minglibc.app.export import export_lock
    from minglibc.app.freshness import Freshness, check_freshness
    from minglibc.app.lock import LockOptions, LockResult, lock_project
    from minglibc.app.options import CommonOptions
    from minglibc.app.report import gather_report
    from minglibc.app.reporter import Reporter, SilentReporter
    from minglibc.app.sync import SyncOutcome, sync_environment
    from minglibc.app.sync_options import SelectionOptions, SyncOptions
    from minglibc.config.edit import DependencyList
    from minglibc.config.settings import Overrides

__all__ = [
    "BuildOptions",
    "BuildOutcome",
    "BundleOptions",
    "CapComparison",
    "CheckOptions",
    "CheckResult",
    "CommonOptions",
    "DependencyList",
    "EditOptions",
    "ExplainOptions",
    "Freshness",
    "LockOptions",
    "LockResult",
    "Overrides",
    "Reporter",
    "SelectionOptions",
    "SilentReporter",
    "SyncOptions",
    "SyncOutcome",
    "add_requirements",
    "build_wheels",
    "check_environment",
    "check_freshness",
    "check_image",
    "check_locked_files",
    "check_paths",
    "check_root",
    "compare_caps",
    "create_bundle",
    "explain_selection",
    "export_lock",
    "find_outdated",
    "gather_report",
    "lock_project",
    "remove_requirements",
    "sync_environment",
]

# Imported on first use: the command line imports a module of this package for every command.
_MODULES = {
    "minglibc.app.build": ("BuildOptions", "BuildOutcome", "build_wheels"),
    "minglibc.app.bundle": ("BundleOptions", "create_bundle"),
    "minglibc.app.caps": ("CapComparison", "compare_caps"),
    "minglibc.app.check": ("check_locked_files",),
    "minglibc.app.check_caps": ("CheckOptions", "CheckResult"),
    "minglibc.app.check_folders": ("check_environment", "check_image", "check_paths", "check_root"),
    "minglibc.app.edit": ("EditOptions", "add_requirements", "remove_requirements"),
    "minglibc.app.explain": ("ExplainOptions", "explain_selection", "find_outdated"),
    "minglibc.app.export": ("export_lock",),
    "minglibc.app.freshness": ("Freshness", "check_freshness"),
    "minglibc.app.lock": ("LockOptions", "LockResult", "lock_project"),
    "minglibc.app.options": ("CommonOptions",),
    "minglibc.app.report": ("gather_report",),
    "minglibc.app.reporter": ("Reporter", "SilentReporter"),
    "minglibc.app.sync": ("SyncOutcome", "sync_environment"),
    "minglibc.app.sync_options": ("SelectionOptions", "SyncOptions"),
    "minglibc.config.edit": ("DependencyList",),
    "minglibc.config.settings": ("Overrides",),
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(__import__(module, fromlist=[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
