"""Caps public locks of other tools, and proves for each target that versions changed only where they had to."""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from minglibc.app.source_lock import LoadedLock, load_source_lock
from minglibc.lock.reader import loads
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.source_locks.model import SourceKind
from tests.benchmarks.version_proofs import Proof, Uv, has_wheel, prove

LISTS = {"1": Path(__file__).with_name("public-locks.toml"), "2": Path(__file__).with_name("public-locks-2.toml")}
POLICIES = ("nearest", "same", "newest")
_NETWORK = re.compile(r"no connection|no complete response|--offline|is unavailable")
_OFFENDER = re.compile(r"  (\S+) (\S+) on CPython (\S+) on (\S+) with glibc \S+: (.*?)(?:cap 2\.(\d+) allows it)?")


class Outcome(NamedTuple):
    """The result of locking one file for one cap."""

    repository: str
    cap: str
    seconds: float
    error: str
    proofs: tuple[Proof, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """A row of the table in Markdown."""
        first = f"| {self.repository} | {self.cap} | {self.seconds:.0f} |"
        if self.error:
            return f"{first} {self.error}{''.join(f'; WRONG: {fault}' for fault in self.faults)} |"
        equal = sum(proof.equal for proof in self.proofs)
        counts = {
            name: sum(len(getattr(proof, name)) for proof in self.proofs)
            for name in ("without_wheel", "forced", "unproven", "new", "dropped", "unlisted")
        }
        numbers = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count)
        return f"{first} {len(self.proofs)} targets: equal {equal}{', ' if numbers else ''}{numbers} |"


def lock(entry: Mapping[str, str], cap: str, arguments: Namespace) -> Outcome:
    """Lock the file of *entry* in a folder of its own, and compare the result with it."""
    source = arguments.sources / entry["repository"].replace("/", "+") / entry["path"]
    folder = arguments.folder / f"{entry['repository'].replace('/', '+')}-{cap}-{arguments.policy}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(source, folder)
    if source.with_name("pyproject.toml").exists():
        shutil.copy(source.with_name("pyproject.toml"), folder)
    command = [sys.executable, "-m", "minglibc", "lock", "--from", source.name, "--glibc", cap, "--json"]
    command += ["--version-policy", arguments.policy, *entry.get("options", [])]
    started = time.monotonic()
    for option in ("--offline", *[None] * arguments.tries) if arguments.cached else [None] * arguments.tries:
        tried = [*command, option] if option else command
        done = subprocess.run(tried, cwd=folder, capture_output=True, text=True, check=False)
        if not _NETWORK.search(done.stderr):
            break
    seconds = time.monotonic() - started
    (folder / "output.json").write_text(done.stdout, encoding="utf-8")
    (folder / "output.txt").write_text(done.stderr, encoding="utf-8")
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        faults: tuple[str, ...] = ()
        if arguments.policy == "same" and "can't be used under the cap" in done.stderr:
            loaded = load_source_lock(source.name, str(folder), "same")
            faults = tuple(wrong_offenders(done.stderr, loaded, int(cap.partition(".")[2])))
        return Outcome(entry["repository"], cap, seconds, (errors or ["error: no output"])[0], faults=faults)
    loaded = load_source_lock(source.name, str(folder), arguments.policy)
    made = loads((folder / "pylock.toml").read_text(encoding="utf-8"))
    proofs = tuple(prove(made, loaded, Uv(arguments.uv, arguments.folder / "uv-cache"), folder))
    (folder / "proofs.json").write_text(
        json.dumps([(str(p.target), p[1:]) for p in proofs], indent=1), encoding="utf-8"
    )
    return Outcome(entry["repository"], cap, seconds, "", proofs)


def wrong_offenders(output: str, loaded: LoadedLock, minor: int) -> Iterator[str]:
    """What is wrong in the list of offenders that the policy `same` prints: too much, too little, or a wrong cap."""
    listed: dict[Target, dict[str, str]] = {}
    requires_python: set[tuple[Target, str]] = set()
    matches = filter(None, map(_OFFENDER.fullmatch, output.splitlines()))
    for name, _, python, architecture, reason, cap in (match.groups() for match in matches):
        target = Target(PythonVersion.parse(python), architecture, GlibcVersion(2, minor))
        listed.setdefault(target, {})[name] = cap
        if reason.startswith("needs Python"):
            requires_python.add((target, name))
    for target, caps in listed.items():
        for name, package in loaded.selected(target).items():
            if package.kind is not SourceKind.INDEX:
                continue
            usable = has_wheel(package, target)
            # Whether Requires-Python allows the target is not in the names of the files.
            if usable == (name in caps) and (target, name) not in requires_python:
                yield f"{package} on {target} is {'listed' if usable else 'not listed'}"
            if caps.get(name) and not has_wheel(package, target._replace(cap=GlibcVersion(2, int(caps[name])))):
                yield f"{package} on {target} has no wheel for glibc 2.{caps[name]}"


def run(arguments: Namespace) -> None:
    """Lock the chosen files and print a table."""
    entries = tomllib.loads(LISTS[arguments.list].read_text(encoding="utf-8"))["lock"]
    chosen = [e for e in entries if not arguments.only or e["repository"] in arguments.only]
    print("| Lock | Cap | Seconds | Result |\n|---|---|---|---|")
    for entry in chosen:
        for cap in arguments.cap or ("2.17", "2.28"):
            outcome = lock(entry, cap, arguments)
            print(outcome.row, flush=True)


def configure(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--sources", type=Path, required=True, help="a folder with OWNER+NAME/PATH for each lock")
    parser.add_argument("--folder", type=Path, required=True, help="where the results are kept")
    parser.add_argument("--uv", default=shutil.which("uv"), help="the uv that verifies that a change is necessary")
    parser.add_argument("--list", choices=LISTS, default="1", help="which of the lists")
    parser.add_argument("--cap", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--policy", choices=POLICIES, default="nearest", help="the version policy")
    parser.add_argument("--cached", action="store_true", help="do not request what the cache has, however old")
    parser.add_argument("--tries", type=int, default=3, help="how often a file is locked until no request fails")
    parser.add_argument("--only", action="append", default=[], metavar="REPOSITORY", help="only this one; repeatable")
    parser.set_defaults(run=run)
