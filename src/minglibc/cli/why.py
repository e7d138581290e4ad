"""`minglibc why NAME`: what requires a package, why its version was selected, and why no newer one."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from minglibc.app.explain import ExplainOptions, explain_selection
from minglibc.cli.args import (
    ArgumentParser,
    add_index,
    add_lock,
    add_targets,
    common_options,
    target_overrides,
)
from minglibc.cli.output import Terminal, print_json, print_text
from minglibc.cli.targets import describe_targets, targets_as_json
from minglibc.insight.why import Explanation, Link
from minglibc.model.artifacts import Sdist, Wheel
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import Cap


def configure(parser: ArgumentParser) -> None:
    """The arguments of `why`."""
    parser.add_argument("name", help="a locked package")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print the explanation for each group of targets."""
    with Terminal.of(arguments) as terminal:
        answers = explain_selection(arguments.name, explain_options(arguments), terminal)
    if arguments.json:
        print_json([as_json(answer) for answer in answers])
        return 0
    print_text("\n\n".join(_as_text(answer) for answer in answers))
    return 0


def explain_options(arguments: Namespace) -> ExplainOptions:
    """The options of `why`, `outdated`, `caps` and `report`."""
    return ExplainOptions(
        common_options(arguments),
        arguments.lock,
        target_overrides(arguments),
        getattr(arguments, "osv", False),
        getattr(arguments, "osv_file", None),
    )


def _as_text(answer: Explanation) -> str:
    wheel = answer.wheel
    needs = _needs(answer)
    lines = [f"{wheel.name} {wheel.version} for {describe_targets(answer.targets)}"]
    if isinstance(wheel, Sdist):
        facts = [wheel.filename, "built from source"]
    else:
        facts = [wheel.filename, f"needs {needs.named}" if needs else "needs no glibc"]
    facts += [f"uploaded {wheel.upload_time[:10]}"] if wheel.upload_time else []
    lines.append(f"  {', '.join(facts)}")
    lines += [f"  {chain_text(chain)}" for chain in answer.chains]
    if not answer.newer:
        return "\n".join([*lines, "  this is the newest release"])
    width = max(len(release.version) for release in answer.newer)
    lines.append("  newer releases:")
    lines += [f"    {release.version:{width}}  {release.obstacle.text}" for release in answer.newer]
    return "\n".join(lines)


def _needs(answer: Explanation) -> Cap | None:
    """The version that the wheel's tag promises, of a C library that the answer's targets have."""
    lowest = lowest_libcs(answer.wheel.tag_set) if isinstance(answer.wheel, Wheel) else {}
    return next((lowest[target.cap.libc] for target in answer.targets if target.cap.libc in lowest), None)


def chain_text(chain: Sequence[Link]) -> str:
    """``the project → paramiko>=3 (5.1.0) → cryptography>=3.3``."""
    parts = [chain[0].parent]
    for link, following in zip(chain, [*chain[1:], None], strict=True):
        selected = f" ({following.parent.rpartition(' ')[2]})" if following else ""
        parts.append(f"{link.requirement.without_marker}{selected}")
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
