"""`minglibc cache`: show the cache's location or size, or clear it."""

from argparse import ArgumentTypeError, Namespace

from minglibc.app import cache
from minglibc.cli.args import ArgumentParser, common_options
from minglibc.cli.output import Terminal, plural


def configure(parser: ArgumentParser) -> None:
    """The arguments of `cache`."""
    parser.add_argument(
        "action",
        type=_action,
        choices=["dir", "size", "prune", "clear"],
        help="print the folder; print its size; remove files that were not used for "
        f"{cache.UNUSED_DAYS} days; remove everything",
    )


def _action(text: str) -> str:
    if text in {"clean", "purge"}:
        raise ArgumentTypeError(f"{text!r} is not known; use `minglibc cache clear`")
    return text


def run(arguments: Namespace) -> int:
    """Print where the cache is or how large it is, or remove files from it."""
    common, terminal = common_options(arguments), Terminal.of(arguments)
    folder = cache.folder(common)
    match arguments.action:
        case "dir":
            print(folder)
        case "size":
            size = cache.size(common)
            print(f"{size} ({format_size(size)})")
        case "prune":
            pruned = cache.prune(common)
            files = plural(pruned.files, "unused file")
            terminal.info(f"Pruned {folder}: {files} and older formats, {format_size(pruned.bytes)}")
        case _:
            terminal.info(f"Cleared {folder}: {format_size(cache.clear(common))}")
    return 0


def format_size(size: int) -> str:
    """*size* bytes with three digits and a decimal unit."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:  # would be rounded to 1000
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
