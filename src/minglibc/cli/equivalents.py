"""Options of other tools that minglibc does not have, and what to use instead."""

_INDEX_TABLE = "write the index to [[tool.minglibc.index]] in pyproject.toml, or give --index to `lock` or `add`"
_FLAT_INDEX = 'write the folder or page to [[tool.minglibc.index]] in pyproject.toml, with format = "flat"'

EQUIVALENTS = {
    "--with": "`minglibc run --with PACKAGE` runs a command with it, and `minglibc add PACKAGE` locks it",
    "--with-requirements": "`minglibc lock -r FILE` locks it, and `minglibc run --lock FILE` installs the lock",
    "--only-group": "`minglibc sync`, `run`, `export` and `bundle` have it",
    "--only-dev": "use --only-group dev",
    "--no-dependencies": "`minglibc export` writes requirements that can be edited",
    "--reinstall": "packages that were changed are reinstalled; delete .venv to install all again",
    "--python-preference": "--python selects the interpreter",
    "--index": _INDEX_TABLE,
    "--extra-index-url": _INDEX_TABLE,
    "--default-index": "use --index-url",
    "-i": "use --index-url",
    "--find-links": _FLAT_INDEX,
    "-f": _FLAT_INDEX,
    "--no-cache": "--refresh requests all pages again",
    "-n": "--refresh requests all pages again",
    "--index-strategy": "a project comes from the first index that has it, or from the one in tool.minglibc.sources",
    "--prerelease": "set prereleases in [tool.minglibc]",
    "--pre": "set prereleases in [tool.minglibc]",
    "--resolution": "set resolution in [tool.minglibc]",
    "--exclude-newer": "set exclude-newer in [tool.minglibc]",
    "--python-platform": "set glibc and architectures in [tool.minglibc]",
    "--python-version": "use --python",
    "--platform": "use --glibc and --arch",
    "--directory": "use --project",
    "--no-editable": "--no-install-project installs the requirements only",
    "--no-binary": "--allow-sdist-package builds a package without a wheel",
    "--no-index": "use --offline",
}


def equivalent_of(options: str) -> str:
    """What to use instead of the first known one of *options*, separated by blanks; else empty."""
    names = (option.partition("=")[0] for option in options.split())
    return next((f"{EQUIVALENTS[name]}, instead of {name}" for name in names if name in EQUIVALENTS), "")
