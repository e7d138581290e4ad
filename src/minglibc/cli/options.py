"""Names of cli.args and cli.output for the modules that still use them."""

from argparse import Namespace

from minglibc.cache.location import default_folder
from minglibc.cli.args import ArgumentParser as Parser
from minglibc.cli.args import add_common, add_index, add_targets
from minglibc.cli.output import Terminal
from minglibc.config import project_files

__all__ = ["Namespace", "Parser", "add_common", "add_index", "add_targets", "cache_folder", "folder", "talk"]


def folder(arguments: Namespace) -> str:
    """The project's folder."""
    return project_files.find(arguments.project)


def cache_folder(arguments: Namespace) -> str:
    """The cache folder: --cache-dir, else the user's own."""
    return arguments.cache_dir or default_folder()


def talk(arguments: Namespace, message: str, *, level: int = 0) -> None:
    """Print *message* to stderr, unless --quiet; *level* is how many -v it wants."""
    Terminal.of(arguments).info(message, level=level)
