"""`minglibc why NAME`: who requires it, why this release, and why none above it."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from minglibc.cli.locked import Locked, locked, spoken, targets_as_json
from minglibc.cli.options import Namespace, Parser, add_index, add_targets
from minglibc.cli.selection import add_lock
from minglibc.errors import SettingsError
from minglibc.insight.why import Explanation, Link, explain
from minglibc.model.artifacts import Sdist, Wheel
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Cap


def configure(parser: Parser) -> None:
    """The arguments of `why`."""
    parser.add_argument("name", help="a locked package")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print the answer for each kind of target."""
    name = normalize_name(arguments.name)
    with locked(arguments) as found:
        answers = explain(name, found.resolutions, found.explainer)
    if not answers:
        raise _not_locked(name, found)
    if arguments.json:
        print(json.dumps([as_json(answer) for answer in answers], indent=2))
        return 0
    print("\n\n".join(_told(answer) for answer in answers))
    return 0


def _not_locked(name: str, found: Locked) -> SettingsError:
    names = [str(package.name) for package in found.lock.pylock.packages]
    close = get_close_matches(name, names, 1)
    origin = found.lock.origin
    hint = f"did you mean {close[0]}?" if close else f"nothing in {origin.name} requires it for any target"
    return SettingsError(f"{name} is not in {origin.lock}", hint=hint)


def _told(answer: Explanation) -> str:
    wheel = answer.wheel
    needs = _needs(answer)
    lines = [f"{wheel.name} {wheel.version} for {spoken(answer.targets)}"]
    if isinstance(wheel, Sdist):
        facts = [wheel.filename, "built from source"]
    else:
        facts = [wheel.filename, f"needs {needs.named}" if needs else "needs no glibc"]
    facts += [f"uploaded {wheel.upload_time[:10]}"] if wheel.upload_time else []
    lines.append(f"  {', '.join(facts)}")
    lines += [f"  {chain_text(chain)}" for chain in answer.chains]
    if not answer.newer:
        return "\n".join([*lines, "  it is the newest release"])
    width = max(len(release.version) for release in answer.newer)
    lines.append("  newer releases:")
    lines += [f"    {release.version:{width}}  {release.obstacle.text}" for release in answer.newer]
    return "\n".join(lines)


def _needs(answer: Explanation) -> Cap | None:
    """The C library that the wheel promises to run on, of those that the answer's targets have."""
    lowest = lowest_libcs(answer.wheel.tag_set) if isinstance(answer.wheel, Wheel) else {}
    return next((lowest[target.cap.libc] for target in answer.targets if target.cap.libc in lowest), None)


def chain_text(chain: Sequence[Link]) -> str:
    """``the project → paramiko>=3 (5.1.0) → cryptography>=3.3``."""
    parts = [chain[0].parent]
    for link, following in zip(chain, [*chain[1:], None], strict=True):
        chosen = f" ({following.parent.rpartition(' ')[2]})" if following else ""
        parts.append(f"{link.requirement.without_marker}{chosen}")
    return " → ".join(parts)


def as_json(answer: Explanation) -> dict[str, Any]:
    """An answer in the form that docs/reference/json/why.schema.json describes."""
    needs = _needs(answer)
    return {
        "name": answer.wheel.name,
        "version": answer.wheel.version,
        "wheel": answer.wheel.filename,
        "needs": str(needs) if needs else None,
        "uploaded": answer.wheel.upload_time or None,
        "targets": targets_as_json(answer.targets),
        "required-by": [
            [{"by": link.parent, "requirement": str(link.requirement)} for link in chain] for chain in answer.chains
        ],
        "above": [
            {
                "version": release.version,
                "reason": release.obstacle.reason,
                "detail": release.obstacle.text,
                "needs": str(release.obstacle.needs) if release.obstacle.needs else None,
            }
            for release in answer.newer
        ],
    }
