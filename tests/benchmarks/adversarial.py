"""Families of small indexes that are hard for a search: cycles, pre-releases, markers, yanked releases, stars, random graphs."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from random import Random

from tests.support.small_index import Case, Release

VERSIONS = range(1, 9)


def releases(requires: Callable[[int], Sequence[str]]) -> dict[str, Release]:
    """Eight releases and what each of them requires."""
    return {str(version): Release(tuple(requires(version))) for version in VERSIONS}


def extra_cycle(size: int) -> Case:
    """A ring of *size* packages, whose extra needs the next one's extra and a base that is old."""
    packages = {
        f"c{n}": {str(v): Release((), {"x": (f"c{(n + 1) % size}[x]>={v}", f"base>={v - 1}")}) for v in VERSIONS}
        for n in range(size)
    }
    return Case({**packages, "base": releases(lambda _: ())}, ("c0[x]", "base<3"))


def deep_diamonds(size: int) -> Case:
    """*size* diamonds of depth three over one core, with a pre-release for each release; the core is pinned."""
    packages: dict[str, dict[str, Release]] = {}

    def add(name: str, requires: Callable[[str], Sequence[str]]) -> None:
        texts = [f"{version}{suffix}" for version in VERSIONS for suffix in ("rc1", "")]
        packages[name] = {text: Release(tuple(requires(text.removesuffix("rc1")))) for text in texts}

    for n in range(size):
        levels = [f"d{n}", f"e{n}", f"f{n}", "core"]
        for upper, lower in pairwise(levels[:-1]):
            for side in "lr" if upper != levels[0] else "t":
                add(f"{upper}{side}", lambda v, lower=lower: (f"{lower}l>={v}rc1", f"{lower}r>={v},<{int(v) + 2}"))  # type: ignore[misc]
        for side in "lr":
            add(f"f{n}{side}", lambda v: (f"core>={v}rc1",))
    add("core", lambda _: ())
    return Case(packages, (*(f"d{n}t" for n in range(size)), "core<3rc1"))


def markers(size: int) -> Case:
    """*size* packages, which each conflict with a core on this Python or on another one, by markers."""
    packages = {
        f"m{n}": releases(
            lambda v, n=n: (  # type: ignore[misc]
                f"core>={v} ; python_version {'>=' if n % 2 else '<'} '3.6'",
                f"core<{v} ; python_version {'<' if n % 2 else '>='} '3.6'",
                "absent ; python_version < '3.6'",
            )
        )
        for n in range(size)
    }
    core = releases(lambda _: ())
    return Case({**packages, "core": {"0": Release(), **core}, "absent": {}}, (*packages, "core<6"))


def yanked_only(size: int) -> Case:
    """A chain of *size* packages of which all releases but the oldest are yanked, beside a package that needs an old one."""
    packages = {
        f"y{n}": {
            version: release._replace(yanked=version != "1")
            for version, release in releases(
                lambda v, n=n: (f"y{n + 1}>={v}", f"side{n}") if n < size - 1 else ("end",)  # type: ignore[misc]
            ).items()
        }
        for n in range(size)
    }
    sides = {f"side{n}": releases(lambda v: (f"end>={v}",)) for n in range(size)}
    return Case({**packages, **sides, "end": releases(lambda _: ())}, ("y0", "end<3"))


def disjoint_pins(size: int) -> Case:
    """*size* pairs of plugins that pin a core to disjoint ranges, except for the oldest release of each second plugin."""
    packages: dict[str, dict[str, Release]] = {}
    for n in range(size):
        packages[f"a{n}"] = releases(lambda v, n=n: (f"core{n}>={v},<{v + 1}",))  # type: ignore[misc]
        packages[f"b{n}"] = releases(lambda v, n=n: (f"core{n}>={v + 8}",) if v > 1 else ("shared<2",))  # type: ignore[misc]
        packages[f"core{n}"] = {str(v): Release() for v in range(1, 20)}
    return Case(
        {**packages, "shared": releases(lambda _: ())}, tuple(f"{side}{n}" for n in range(size) for side in "ab")
    )


def star(size: int) -> Case:
    """A hub that needs the same release of *size* packages, of which the last has only one old release."""
    packages = {f"s{n}": releases(lambda v: (f"hub<={v}",)) for n in range(size)}
    packages[f"s{size - 1}"] = {"1": Release()}
    hub = releases(lambda v: [f"s{n}>={v}" for n in range(size)])
    return Case({**packages, "hub": hub}, ("hub",))


def exclusions_no(size: int) -> Case:
    """*size* packages that each exclude one release of a core with as many: there is no solution."""
    packages = {f"x{n}": releases(lambda _, n=n: (f"core!={n}",)) for n in range(size)}  # type: ignore[misc]
    core = {str(n): Release() for n in range(size)}
    return Case({**packages, "core": core}, tuple(packages))


def diamonds_no(size: int) -> Case:
    """*size* diamonds in a row, all of whose releases conflict with the project in the end: there is no solution."""
    packages: dict[str, dict[str, Release]] = {
        f"t{size}": releases(lambda _: ("end<2",)),
        "end": releases(lambda _: ()),
    }
    for n in range(size):
        packages[f"t{n}"] = releases(lambda v, n=n: (f"l{n}<={v}", f"r{n}>={v - 1}"))  # type: ignore[misc]
        packages[f"l{n}"] = releases(lambda v, n=n: (f"t{n + 1}=={v}",))  # type: ignore[misc]
        packages[f"r{n}"] = releases(lambda v, n=n: (f"t{n + 1}<={v}",))  # type: ignore[misc]
    return Case(packages, ("t0", "end>1"))


def random_graph(size: int) -> Case:
    """*size* packages whose releases each need a window of releases of three random later packages; a late one is old."""
    random = Random(size)
    packages = {}
    for n in range(size):
        others = random.sample(range(n + 1, size), min(3, size - n - 1))
        packages[f"g{n}"] = releases(lambda v, o=others: [f"g{other}>={v - 2},<={v + 1}" for other in o])  # type: ignore[misc]
    return Case(packages, ("g0", "g1", "g2", f"g{size - 1}<3"))


FAMILIES: Mapping[str, Callable[[int], Case]] = {
    "extra-cycle": extra_cycle,
    "deep-diamonds": deep_diamonds,
    "markers": markers,
    "yanked-only": yanked_only,
    "disjoint-pins": disjoint_pins,
    "star-release": star,
    "exclusions-no": exclusions_no,
    "diamonds-no": diamonds_no,
    "random-graph": random_graph,
}
