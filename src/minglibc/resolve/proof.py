"""From the proof that there is no answer to the few dependencies that show it."""

import time
from collections.abc import Iterable, Mapping, Sequence

from minglibc.resolve.candidates import Provider
from minglibc.resolve.resolution import Cause
from minglibc.resolve.solver import Incompatibility, Unsatisfiable, leaves, solve
from minglibc.resolve.variables import ABSENT, Edge, Variable

# A shorter message is not worth a longer wait.
_PATIENCE = 0.3


def causes_of(
    provider: Provider, proof: Incompatibility, domains: Sequence[int], variables: Sequence[Variable | None]
) -> list[Cause]:
    """The dependencies of a small set that has no solution, from the roots to the conflict."""
    core = _core(list(leaves(proof)), domains)
    edges = [incompatibility.origin for incompatibility in core if isinstance(incompatibility.origin, Edge)]
    numbers = {_name(variable): number for number, variable in enumerate(variables) if variable is not None}
    return [_cause(provider, edge, edges, numbers) for edge in _in_order(edges)]


def _core(incompatibilities: list[Incompatibility], domains: Sequence[int]) -> list[Incompatibility]:
    """A part of *incompatibilities* that has no solution either; a smallest one where time allows."""
    end = time.monotonic() + _PATIENCE
    core = incompatibilities
    for incompatibility in reversed(incompatibilities):
        if time.monotonic() > end:
            break
        if incompatibility in core:
            core = _without_solution([other for other in core if other is not incompatibility], domains) or core
    return core


def _without_solution(incompatibilities: Iterable[Incompatibility], domains: Sequence[int]) -> list[Incompatibility]:
    """Those of *incompatibilities* that a proof needs; empty where they have a solution."""
    copies = {id(copy := Incompatibility(dict(given.terms))): (copy, given) for given in incompatibilities}
    try:
        solve([copy for copy, _ in copies.values()], domains)
    except Unsatisfiable as error:
        return [copies[id(leaf)][1] for leaf in leaves(error.proof)]
    return []


def _in_order(edges: Sequence[Edge]) -> list[Edge]:
    """Parents before what they require, as far as they have no cycles."""
    ordered: list[Edge] = []
    reached = {""}
    waiting = list(edges)
    while waiting:
        ready = [edge for edge in waiting if edge.parent in reached] or waiting[:1]
        ordered += ready
        reached |= {edge.dependency.name for edge in ready}
        waiting = [edge for edge in waiting if edge not in ready]
    return ordered


def _cause(provider: Provider, edge: Edge, edges: Sequence[Edge], numbers: Mapping[str, int]) -> Cause:
    if not edge.parent:
        return Cause(edge.dependency, None)
    project = provider.project(edge.parent)
    mask = edge.incompatibility.terms[numbers[edge.parent]] & ~ABSENT
    relevant = mask
    for other in edges:
        if other.dependency.name == edge.parent and not other.dependency.extra:
            relevant &= provider.narrow(other.dependency) << 1
    relevant = relevant or mask
    texts = project.page.versions.texts
    indexes = [index for index in range(len(texts) - 1, -1, -1) if relevant >> index + 1 & 1]
    wheel = project.best(indexes[0], yanked=True)
    parent = None if wheel is None else project.candidate(edge.extra, indexes[0], wheel)
    return Cause(edge.dependency, parent, tuple(texts[index] for index in indexes))


def _name(variable: Variable) -> str:
    name = variable.project.page.name
    return f"{name}[{variable.extra}]" if variable.extra else name
