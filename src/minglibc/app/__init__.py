"""The public Python API: functions that do what a command does, with typed options and a reporter.

They print nothing, return what they did, and raise ``minglibc.errors.MinglibcError``. See docs/reference/api.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minglibc.app.caps import CapComparison, compare_caps
    from minglibc.app.edit import EditOptions, add_requirements, remove_requirements
    from minglibc.app.explain import ExplainOptions, explain_selection, find_outdated
    from minglibc.app.lock import Freshness, LockOptions, LockResult, check_freshness, lock_project
    from minglibc.app.options import CommonOptions
    from minglibc.app.report import gather_report
    from minglibc.app.reporter import Reporter, SilentReporter
    from minglibc.config.edit import Place
    from minglibc.config.settings import Overrides

__all__ = [
    "CapComparison",
    "CommonOptions",
    "EditOptions",
    "ExplainOptions",
    "Freshness",
    "LockOptions",
    "LockResult",
    "Overrides",
    "Place",
    "Reporter",
    "SilentReporter",
    "add_requirements",
    "check_freshness",
    "compare_caps",
    "explain_selection",
    "find_outdated",
    "gather_report",
    "lock_project",
    "remove_requirements",
]

# Imported on first use: the command line imports a module of this package for every command.
_MODULES = {
    "minglibc.app.caps": ("CapComparison", "compare_caps"),
    "minglibc.app.edit": ("EditOptions", "add_requirements", "remove_requirements"),
    "minglibc.app.explain": ("ExplainOptions", "explain_selection", "find_outdated"),
    "minglibc.app.lock": ("Freshness", "LockOptions", "LockResult", "check_freshness", "lock_project"),
    "minglibc.app.options": ("CommonOptions",),
    "minglibc.app.report": ("gather_report",),
    "minglibc.app.reporter": ("Reporter", "SilentReporter"),
    "minglibc.config.edit": ("Place",),
    "minglibc.config.settings": ("Overrides",),
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(__import__(module, fromlist=[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
