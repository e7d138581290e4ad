"""The tools that lock what `minglibc lock` locks: how each is installed, what it reads, which command is the same work."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# What each is installed from, in a venv of its own; the bounds are those with which it works.
INSTALLS: Mapping[str, Sequence[str]] = {
    "uv": ("uv",),
    "nab": ("nab==0.0.23",),
    # 2.29.3 asks for files that a recorded index does not have.
    "pdm": ("pdm==2.24.2", "unearth<0.18", "hishel<0.1.3", "packaging<26"),
    "poetry": ("poetry",),
    "pip-compile": ("pip-tools", "pip>=26"),
    "pex": ("pex",),
    "pip": ("pip>=26",),
}
# pex runs a pip of its own, which no recorded index has: it is put into this folder once.
PEX_PIP = "25.3"
PEX_SEED = "pex-root"


class Project(NamedTuple):
    """What is to be locked, in words that each tool's settings can be made of."""

    name: str
    requirements: tuple[str, ...]
    requires_python: str
    cap: str
    pythons: tuple[str, ...]
    machines: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Project":
        """The project of a pyproject.toml: [tool.compare] says for which Pythons and machines, else [tool.minglibc]."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        ours = data["tool"]["minglibc"]
        named = data["tool"].get("compare", {})
        pythons = named.get("python") or ours.get("python") or [f"3.{sys.version_info[1]}"]
        machines = named.get("machines") or ours.get("architectures") or ["x86_64"]
        project = data["project"]
        return cls(
            path.parent.name,
            tuple(project["dependencies"]),
            project["requires-python"],
            ours["glibc"],
            tuple(pythons),
            tuple(machines),
        )

    @property
    def is_single(self) -> bool:
        """Whether it is for one Python on one machine."""
        return len(self.pythons) * len(self.machines) == 1

    @property
    def one_target(self) -> "Project":
        """The same for one of its targets."""
        return self._replace(pythons=(self.python,), machines=self.machines[:1])

    @property
    def python(self) -> str:
        """One of its Pythons: this one, where it is among them."""
        running = f"3.{sys.version_info[1]}"
        return running if running in self.pythons else self.pythons[0]

    @property
    def manylinux(self) -> str:
        """The newest platform tag of its first machine."""
        return f"manylinux_{self.cap.replace('.', '_')}_{self.machines[0]}"

    def text(self, table: str) -> str:
        """A pyproject.toml with the settings *table* at its end."""
        return (
            f'[project]\nname = "benchmark"\nversion = "0"\nrequires-python = "{self.requires_python}"\n'
            f"dependencies = {json.dumps(self.requirements)}\n\n{table}"
        )


# The arguments of a command for a project, an index and a cache folder.
Command = Callable[[Project, str, str], Sequence[str]]


class Tool(NamedTuple):
    """A tool: what it reads, the command that locks, the one that only checks, and what it writes."""

    name: str
    program: str
    settings: Callable[[Project, str], str]
    lock: Command
    locks: str
    variables: Callable[[str, str], Mapping[str, str]] = lambda cache, index: {}
    check: Command | None = None
    # The command that locks again and revalidates each page, if the tool has one.
    refresh: Command | None = None
    # Whether it locks for several targets at once.
    many: bool = False
    # The name of its virtual environment, if different.
    home: str = ""


def _fixed(*command: str) -> Command:
    return lambda project, index, cache: command


def _minglibc(project: Project, index: str) -> str:
    chosen = f"python = {json.dumps(project.pythons)}\narchitectures = {json.dumps(project.machines)}\n"
    return project.text(f'[tool.minglibc]\nglibc = "{project.cap}"\n{chosen}')


def _minglibc_lock(project: Project, index: str, cache: str) -> Sequence[str]:
    return ["lock", "--quiet", "--index-url", index, "--cache-dir", cache]


def _uv(project: Project, index: str) -> str:
    markers = [f"sys_platform == 'linux' and platform_machine == '{machine}'" for machine in project.machines]
    return project.text(f"[tool.uv]\npackage = false\nno-build = true\nenvironments = {json.dumps(markers)}\n")


def _nab(project: Project, index: str) -> str:
    return project.text(
        f'[tool.nab]\ndist-policy = "wheel-only"\n[[tool.nab.indexes]]\nname = "one"\nurl = "{index}"\n'
    )


def _nab_lock(project: Project, index: str, cache: str) -> Sequence[str]:
    platforms = [f"linux_{machine}" for machine in project.machines]
    knob = f"runs-on-libc={project.cap}"
    if project.is_single:
        where = ["--project-environment-python", project.python, "--project-environment-platform", platforms[0], knob]
    else:
        where = ["--project-mode", "universal", "--project-matrix-python", project.requires_python]
        where += [part for platform in platforms for part in ("--project-matrix-platforms", platform, knob)]
    return ["lock", "--no-progress", "--cache-dir", cache, *where]


def _pip_lock(project: Project, index: str, cache: str) -> Sequence[str]:
    return ["lock", "-q", *_ONLY_WHEELS, "-r", _REQUIREMENTS, "-o", "pylock.toml"]


def _pip_compile(project: Project, index: str, cache: str) -> Sequence[str]:
    return ["-q", "--strip-extras", "--pip-args", " ".join(_ONLY_WHEELS), _REQUIREMENTS, "-o", "requirements.txt"]


def _pex_lock(project: Project, index: str, cache: str) -> Sequence[str]:
    return [
        *("lock", "create", "--no-pypi", "--index", index, "--no-build", "--style", "strict", "--avoid-downloads"),
        *("--pip-version", PEX_PIP, "-r", _REQUIREMENTS, "-o", "lock.json"),
    ]


def _pdm(project: Project, index: str) -> str:
    source = f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n'
    return project.text(f"[tool.pdm]\ndistribution = false\n{source}")


def _pdm_lock(project: Project, index: str, cache: str) -> Sequence[str]:
    only = ["--platform", project.manylinux, "--implementation", "cpython", "--python", project.requires_python]
    return ["lock", *(only if project.is_single else ())]


def _poetry(project: Project, index: str) -> str:
    source = f'[[tool.poetry.source]]\nname = "one"\nurl = "{index}"\npriority = "primary"\n'
    return project.text(f"[tool.poetry]\npackage-mode = false\n{source}")


def _pip_variables(cache: str, index: str) -> Mapping[str, str]:
    return {
        "PIP_CACHE_DIR": cache,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


_REQUIREMENTS = "requirements.in"
_ONLY_WHEELS = ("--only-binary", ":all:")

TOOLS = (
    Tool(
        "minglibc",
        "minglibc",
        _minglibc,
        _minglibc_lock,
        "pylock.toml",
        refresh=lambda project, index, cache: [*_minglibc_lock(project, index, cache), "--refresh"],
        check=_fixed("lock", "--check", "--quiet"),
        many=True,
    ),
    Tool(
        "uv",
        "uv",
        _uv,
        lambda project, index, cache: ["lock", "--quiet"],
        "uv.lock",
        lambda cache, index: {
            "UV_CACHE_DIR": cache,
            "UV_DEFAULT_INDEX": index,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON": sys.executable,
        },
        refresh=_fixed("lock", "--quiet", "--refresh"),
        check=_fixed("lock", "--check", "--quiet"),
        many=True,
    ),
    Tool(
        "nab",
        "nab",
        _nab,
        _nab_lock,
        "pylock.toml",
        check=lambda project, index, cache: [*_nab_lock(project, index, cache), "--locked"],
        many=True,
    ),
    Tool(
        "pdm",
        "pdm",
        _pdm,
        _pdm_lock,
        "pdm.lock",
        lambda cache, index: {
            "PDM_CACHE_DIR": cache,
            "PDM_CHECK_UPDATE": "false",
            "PDM_ONLY_BINARY": ":all:",
            "PDM_USE_VENV": "false",
            "PDM_PYTHON": sys.executable,
        },
        refresh=_pdm_lock,
        check=_fixed("lock", "--check"),
        many=True,
    ),
    Tool(
        "poetry",
        "poetry",
        _poetry,
        lambda project, index, cache: ["lock", "--quiet"],
        "poetry.lock",
        lambda cache, index: {
            "POETRY_CACHE_DIR": cache,
            "POETRY_VIRTUALENVS_CREATE": "false",
            "POETRY_NO_INTERACTION": "1",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        },
        refresh=lambda project, index, cache: ["lock", "--quiet"],
        check=_fixed("check", "--lock"),
        many=True,
    ),
    Tool(
        "pip lock",
        "pip",
        lambda project, index: "",
        _pip_lock,
        "pylock.toml",
        _pip_variables,
        refresh=_pip_lock,
        home="pip",
    ),
    Tool(
        "pip-compile",
        "pip-compile",
        lambda project, index: "",
        _pip_compile,
        "requirements.txt",
        lambda cache, index: {**_pip_variables(f"{cache}/pip", index), "PIP_TOOLS_CACHE_DIR": cache},
        refresh=_pip_compile,
    ),
    Tool(
        "pex",
        "pex3",
        lambda project, index: "",
        _pex_lock,
        "lock.json",
        lambda cache, index: {"PEX_ROOT": cache},
        refresh=_pex_lock,
    ),
)


def prepare(tool: Tool, project: Project, index: str, folder: Path) -> None:
    """Write what *tool* reads."""
    (folder / _REQUIREMENTS).write_text(
        "".join(f"{requirement}\n" for requirement in project.requirements), encoding="utf-8"
    )
    text = tool.settings(project, index)
    if text:
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def install(folder: Path) -> None:
    """A venv for each tool, its bytecode compiled; minglibc from this tree, not editable."""
    tree = str(Path(__file__).parent.parent.parent)
    for name, requirements in {"minglibc": (tree,), **INSTALLS}.items():
        home = folder / name
        if not (home / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
        python = str(home / "bin" / "python")
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        fresh = ["--force-reinstall", "--no-deps"] if name == "minglibc" else []
        subprocess.run([*pip, *requirements], check=True)
        if fresh:
            subprocess.run([*pip, *fresh, *requirements], check=True)
        subprocess.run([python, "-m", "compileall", "-q", str(home / "lib")], check=False)
        print(f"{name} is installed", flush=True)
    _seed_pex(folder)


def _seed_pex(folder: Path) -> None:
    seed = folder / PEX_SEED
    if seed.exists():
        return
    command = [
        str(folder / "pex" / "bin" / "pex3"),
        "lock",
        "create",
        "--pip-version",
        PEX_PIP,
        "-o",
        os.devnull,
        "six",
    ]
    subprocess.run(command, check=True, env={**os.environ, "PEX_ROOT": str(seed)}, stdout=subprocess.DEVNULL)
    for cached in seed.glob("pip/*/*/pip_cache"):
        subprocess.run(["rm", "-rf", cached], check=True)
