"""From the proof that there is no answer to the few dependencies that show it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from minglibc.resolve.candidates import EVERY_VERSION
from minglibc.resolve.conflict import Cause, ranges_of
from minglibc.resolve.graph import DependencyGraph
from minglibc.resolve.solver import Incompatibility, Solver, Unsatisfiable
from minglibc.resolve.variables import ABSENT, Edge

# Seconds of CPU time; a shorter message is not worth a longer wait.
_PATIENCE = 0.3


def causes_of(graph: DependencyGraph, proof: Incompatibility) -> list[Cause]:
    """The dependencies of a small set that has no solution, from the roots to the conflict."""
    # A single requirement that nothing can meet explains more than any conflict.
    alone = next(filter(_is_edge, graph.solver.unsatisfiable_in(graph.usable_domains())), None)
    return _causes(graph, [alone] if alone else _core(list(_leaves(proof)), graph.solver.initial))


def conflict_of(graph: DependencyGraph, learned: Incompatibility) -> list[Cause]:
    """The dependencies that an incompatibility was learned from."""
    return _causes(graph, _leaves(learned))


def _causes(graph: DependencyGraph, incompatibilities: Iterable[Incompatibility]) -> list[Cause]:
    edges = [cast("Edge", incompatibility.origin) for incompatibility in filter(_is_edge, incompatibilities)]
    # The values of each project that all dependencies on it admit, and those that some do, as different releases have them.
    admitted: dict[str, tuple[int, int]] = {}
    for edge in edges:
        name = edge.dependency.name
        if not edge.dependency.extra:
            by_all, by_some = admitted.get(name, (EVERY_VERSION, 0))
            values = graph.provider.narrow(edge.dependency) << 1
            admitted[name] = by_all & values, by_some | values
    every = EVERY_VERSION, EVERY_VERSION
    return [_cause(graph, edge, *admitted.get(edge.parent, every)) for edge in _in_order(edges)]


def _is_edge(incompatibility: Incompatibility) -> bool:
    return isinstance(incompatibility.origin, Edge)


def _core(incompatibilities: list[Incompatibility], domains: Sequence[int]) -> list[Incompatibility]:
    """A part of *incompatibilities* that has no solution either; a smallest one where time allows."""
    end = time.thread_time() + _PATIENCE
    core = incompatibilities
    for incompatibility in reversed(incompatibilities):
        if time.thread_time() > end:
            break
        if incompatibility in core:
            core = _without_solution([other for other in core if other is not incompatibility], domains) or core
    return core


def _without_solution(incompatibilities: Iterable[Incompatibility], domains: Sequence[int]) -> list[Incompatibility]:
    """Those of *incompatibilities* that a proof needs; empty where they have a solution."""
    copies = {id(copy := Incompatibility(dict(given.terms))): (copy, given) for given in incompatibilities}
    try:
        _solve([copy for copy, _ in copies.values()], domains)
    except Unsatisfiable as error:
        return [copies[id(leaf)][1] for leaf in _leaves(error.proof)]
    return []


def _in_order(edges: Sequence[Edge]) -> list[Edge]:
    """Parents before what they require, as far as they have no cycles."""
    by_parent: dict[str, list[int]] = {}
    for position, edge in enumerate(edges):
        by_parent.setdefault(edge.parent, []).append(position)
    ordered: list[Edge] = []
    parents = [""]
    while by_parent:
        ready = sorted(position for parent in parents for position in by_parent.pop(parent, ()))
        ordered += (edges[position] for position in ready)
        # In a cycle, any edge is the first.
        parents = [edges[position].dependency.name for position in ready] or [*by_parent][:1]
    return ordered


def _cause(graph: DependencyGraph, edge: Edge, by_all: int, by_some: int) -> Cause:
    if not edge.parent:
        return Cause(edge.dependency, None)
    provider = graph.provider
    project = provider.project(edge.parent)
    mask = edge.incompatibility.terms[edge.number] & ~ABSENT
    relevant = (mask & by_all or mask & by_some or mask) >> 1
    texts = project.page.versions.texts
    indexes: list[int] = []
    while relevant:
        indexes.append(relevant.bit_length() - 1)
        relevant ^= 1 << indexes[-1]
    wheel = project.best(indexes[0], yanked=True)
    parent = None if wheel is None else project.candidate(edge.extra, indexes[0], wheel)
    releases = tuple(texts[index] for index in indexes)
    return Cause(edge.dependency, parent, releases, ranges_of(texts, indexes, project.page.versions.prereleases))


def _leaves(proof: Incompatibility) -> Iterator[Incompatibility]:
    """The given incompatibilities that *proof* was derived from, each once."""
    seen: set[int] = set()
    waiting = [proof]
    while waiting:
        incompatibility = waiting.pop()
        if id(incompatibility) in seen:
            continue
        seen.add(id(incompatibility))
        if incompatibility.sources:
            waiting.extend(incompatibility.sources)
        else:
            yield incompatibility


def _solve(incompatibilities: Iterable[Incompatibility], domains: Sequence[int]) -> list[int]:
    """A value of each variable's domain, as a mask, such that all *incompatibilities* are met; raises Unsatisfiable."""
    solver = Solver()
    for domain in domains:
        solver.add_variable(domain)
    for incompatibility in incompatibilities:
        solver.add(incompatibility)
    while True:
        solver.propagate()
        choice = next((number for number, domain in enumerate(solver.domains) if domain & (domain - 1)), None)
        if choice is None and not solver.has_pending:
            return solver.domains
        if choice is not None:
            solver.decide(choice, solver.domains[choice] & -solver.domains[choice])
