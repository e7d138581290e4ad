"""Locks of other tools for tests."""

from collections.abc import Sequence

from tests.support.wheels import BuiltSdist, BuiltWheel


def uv_lock(
    roots: Sequence[str], wheels: Sequence[BuiltWheel | BuiltSdist], registry: str = "https://pypi.org/simple"
) -> str:
    """A uv.lock whose project requires *roots*, with one or more files for each release."""
    required = "".join(f'    {{ name = "{root.split(">")[0]}" }},\n' for root in roots)
    metadata = "".join(
        f'    {{ name = "{name}", specifier = "{bound and ">" + bound}" }},\n'
        for name, _, bound in (root.partition(">") for root in roots)
    )
    text = (
        f'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n\n[[package]]\nname = "app"\nversion = "1"\n'
        f'source = {{ virtual = "." }}\ndependencies = [\n{required}]\n\n'
        f"[package.metadata]\nrequires-dist = [\n{metadata}]\n"
    )
    for release in dict.fromkeys((wheel.project, wheel.version) for wheel in wheels):
        rows = "".join(
            f'    {{ url = "https://files.example.invalid/{wheel.filename}", hash = "sha256:{wheel.sha256}" }},\n'
            for wheel in wheels
            if (wheel.project, wheel.version) == release
        )
        text += (
            f'\n[[package]]\nname = "{release[0]}"\nversion = "{release[1]}"\n'
            f'source = {{ registry = "{registry}" }}\nwheels = [\n{rows}]\n'
        )
    return text
