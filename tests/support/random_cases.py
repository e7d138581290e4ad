"""Random small indexes: simple ones, and varied ones with everything that requirements, versions and settings can have."""

from collections.abc import Iterator
from random import Random

from tests.support.small_index import TOO_NEW, Case, Release

MARKERS = ("", "", "", "", "", " ; python_version < '3.12'", " ; python_version >= '3.12'")
SPECIFIERS = ("", "", "", "<2", "<3", ">=2", ">1", "==1", "==2", "!=3", "!=2", "~=1.0", "<=2", ">=2rc1", "==3rc1")
VERSIONS = ("1", "2", "3", "4")


def random_case(seed: int, *, markers: bool = False) -> Case:
    """A small index with conflicts, cycles, extras, yanked releases, pre-releases and wheels above the cap."""
    random = Random(seed)
    names = [f"p{number}" for number in range(random.randint(2, 5))]
    rare = random.random()

    def requirement(avoid: str = "") -> str:
        name = random.choice([other for other in names if other != avoid] or names)
        extra = "[x]" if random.random() < 0.2 else ""
        return f"{name}{extra}{random.choice(SPECIFIERS)}{random.choice(MARKERS) if markers else ''}"

    def release(name: str) -> Release:
        requires = tuple(requirement(name) for _ in range(random.choice((0, 0, 1, 1, 2))))
        extras = {"x": tuple(requirement(name) for _ in range(random.randint(0, 2)))} if random.random() < 0.5 else {}
        tags = (TOO_NEW,) if random.random() < 0.15 else ("py3-none-any",)
        python = ">=3.12" if random.random() < 0.1 else ""
        return Release(requires, extras, tags, random.random() < 0.15 * (rare > 0.5), python)

    packages = {}
    for name in names:
        versions = list(VERSIONS[: random.randint(1, 4)])
        if random.random() < 0.4:
            versions[-1] += "rc1"
        packages[name] = {version: release(name) for version in versions}
    return Case(packages, tuple(requirement() for _ in range(random.randint(1, 3))))


# The releases of a project, oldest first.
_SERIES = (
    ("1", "2", "3", "4"),
    ("1", "2", "3", "4"),
    ("1", "2", "3", "4rc1"),
    ("1", "1+cpu", "2", "2+cpu"),
    ("1", "1.post1", "1!1", "1!2"),
    ("1a1", "1rc1", "2.dev1", "2rc1"),
    ("1", "2a1", "2", "3rc1"),
)
_BOUNDS = ("", "", "<3", ">=2", "!=2", "!=1,!=3", ">1,<4", "<=2", "~=1.0", "==1.*", "!=2.*", ">=1.post1", ">1", "<1!2")
_PINS = ("==1", "==2", "==3", "==1+cpu", "===2+cpu", "===1", "==1!1", "==4rc1", ">=2rc1", "<3rc1", "==2.dev1", ">=1a1")
_TARGET_MARKERS = (
    "python_version < '3.12'",
    "python_version >= '3.12'",
    "sys_platform == 'linux' and python_full_version >= '3.11'",
    "platform_machine == 'aarch64' or python_version > '3.11'",
)
_EXTRA_MARKERS = (
    "extra == 'x' and python_version < '3.12'",
    "extra == 'x' or extra == 'y'",
    "python_version >= '3.12' and extra == 'y'",
    "(extra == 'x' or python_version >= '3.12') and sys_platform == 'linux'",
)
_PARENTS = ("the project", "extra web", "group dev")


class _Maker:
    """One varied case; each kind of oddity is frequent in some cases and absent in others."""

    def __init__(self, seed: int, largest: int) -> None:
        self.random = random = Random(seed)
        self.names = [f"p{number}" for number in range(random.randint(2, largest))]
        self.series = {name: random.choice(_SERIES)[: random.randint(1, 4)] for name in self.names}
        self.often = {
            kind: random.choice((0, 0, 0.1, 0.3)) for kind in ("pin", "extra", "marker", "yanked", "new", "self")
        }

    def happens(self, kind: str) -> bool:
        """Whether an oddity is used this time."""
        return self.random.random() < self.often[kind]

    def specifier(self, name: str) -> str:
        """A bound, most often one that a release of project *name* meets; rarely a pin or the name of a pre-release."""
        if self.random.random() < 0.5:
            return f"{self.random.choice(('>=', '<=', '!='))}{self.random.choice(self.series[name]).partition('+')[0]}"
        return self.random.choice(_PINS if self.happens("pin") else _BOUNDS)

    def other(self, but: str = "") -> str:
        """A project, another than *but* if there is one."""
        return self.random.choice([name for name in self.names if name != but] or self.names)

    def requirement(self, name: str) -> str:
        """A requirement on a project."""
        random = self.random
        extras = random.choice(("[x]", "[y]", "[x,y]")) if self.happens("extra") else ""
        marker = f" ; {random.choice(_TARGET_MARKERS)}" if self.happens("marker") else ""
        return f"{name}{extras}{self.specifier(name)}{marker}"

    def release(self, name: str) -> Release:
        """What one version requires."""
        random = self.random
        requires = [self.requirement(self.other(name)) for _ in range(random.choice((0, 0, 1, 1, 2)))]
        extras: dict[str, tuple[str, ...]] = {}
        if self.often["extra"]:
            for extra, other in (("x", "y"), ("y", "x")):
                required = [self.requirement(self.other(name)) for _ in range(random.randint(0, 2))]
                if self.happens("self"):
                    required.append(f"{name}[{other}]{random.choice(('', '', self.specifier(name)))}")
                if random.random() < 0.8:
                    extras[extra] = tuple(required)
            if self.happens("marker"):
                other = self.other()
                requires.append(f"{other}{self.specifier(other)} ; {random.choice(_EXTRA_MARKERS)}")
        tags = (TOO_NEW,) if self.happens("new") else ("py3-none-any",)
        return Release(tuple(requires), extras, tags, self.happens("yanked"))

    def roots(self) -> Iterator[tuple[str, str]]:
        """The requirements of the project, its extras and its groups, and their sources; some projects twice."""
        random = self.random
        for parent in _PARENTS[: random.choice((1, 1, 2, 3))]:
            for _ in range(random.randint(1, 2)):
                name = self.other()
                yield self.requirement(name), parent
                if random.random() < 0.15:
                    yield self.requirement(name), parent


def varied_case(seed: int, *, largest: int = 5) -> Case:
    """An index of up to *largest* projects, and settings: local versions, epochs, constraints, overrides, and others."""
    maker = _Maker(seed, largest)
    random = maker.random
    all_yanked = random.choice(maker.names) if maker.often["yanked"] else ""
    packages = {
        name: {
            version: maker.release(name)._replace(yanked=True) if name == all_yanked else maker.release(name)
            for version in series
        }
        for name, series in maker.series.items()
    }
    roots = list(maker.roots())
    limits = random.random() < 0.4
    constraints = [
        f"{name}{maker.specifier(name) or '<3'}"
        for name in random.choices(maker.names, k=random.randint(0, 2) * limits)
    ]
    overridden = random.sample(maker.names, 1) if random.random() < 0.15 else []
    return Case(
        packages,
        tuple(text for text, _ in roots),
        tuple(constraints),
        tuple(f"{name}{maker.specifier(name)}" for name in overridden),
        parents=tuple(parent for _, parent in roots),
    )
