"""The templates for CI: they are valid, and their shell parts run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.commands import install_program
from tests.support.index import IndexServer
from tests.support.projects import RUNNING, RUNNING_TARGET, locked, project
from tests.support.wheels import build_wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    "dependabot": ["deploy/dependabot.yml"],
    "github-actions": ["action.yml"],
    "github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"],
    "github-workflows": [".github/workflows/ci.yml", ".github/workflows/release.yml", "deploy/upgrade-lock.yml"],
    "gitlab-ci": ["deploy/gitlab-ci.yml"],
    "renovate": ["deploy/renovate.json"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schemas(schema: str) -> None:
    """Each file is valid according to the schema of the service that reads it."""
    transform = ["--data-transform", schema] if schema == "gitlab-ci" else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *transform]
    ran = subprocess.run([*command, *SCHEMAS[schema]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stdout


@pytest.fixture
def folder(index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A locked project in a git repository, with minglibc on PATH."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("pip", "26.3"))
    text = f'[project]\nname = "x"\nversion = "1"\ndependencies = ["a"]\n[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\n'
    folder = project(tmp_path / "project", index, text)
    locked(folder)
    programs = tmp_path / "programs"
    install_program(programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    git = "git init -q . && git add . && git -c user.name=x -c user.email=x@example.invalid commit -qm x"
    subprocess.run(git, shell=True, check=True)
    return folder


def bash(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub's runners do."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


def steps(file: str) -> list[dict[str, Any]]:
    """The steps of an action or of the only job of a workflow that run a script."""
    document = YAML(typ="safe").load(ROOT / file)
    (runs,) = [document["runs"]] if "runs" in document else document["jobs"].values()
    return [step for step in runs["steps"] if "run" in step]


def test_action(folder: Path) -> None:
    """The action checks the lock, creates bundles for the given targets, and fails if the lock is stale."""
    _, check = steps("action.yml")
    given = {"PROJECT": ".", "OUTPUT": "out", "GITHUB_ACTION_PATH": str(ROOT)}
    assert set(check["env"]) | {"GITHUB_ACTION_PATH"} == {*given, "BUNDLES"}
    ran = bash(check["run"], **given, BUNDLES="")
    assert (0, False) == (ran.returncode, (folder / "out").exists()), ran.stderr
    ran = bash(check["run"], **given, BUNDLES=RUNNING_TARGET)
    assert 0 == ran.returncode, ran.stderr
    assert [f"{RUNNING_TARGET}.tar.gz"] == os.listdir("out")
    ran = bash(check["run"], **given, BUNDLES="other")
    assert 0 != ran.returncode
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace('["a"]', '["a<2"]'))
    assert 1 == bash(check["run"], **given, BUNDLES="").returncode


def test_gitlab_template(folder: Path) -> None:
    """The jobs of GitLab's template run."""
    jobs = YAML(typ="safe").load(ROOT / "deploy" / "gitlab-ci.yml")
    for name in ("minglibc-check", "minglibc-bundle"):
        ran = bash("\n".join(jobs[name]["script"]), MINGLIBC_TARGET=RUNNING_TARGET)
        assert 0 == ran.returncode, ran.stderr
    assert (folder / jobs["minglibc-bundle"]["artifacts"]["paths"][0]).exists()


def test_upgrade_workflow(folder: Path, index: IndexServer) -> None:
    """The workflow has changes if there is a newer release, and stops with the message if locking fails."""
    (step,) = [step for step in steps("deploy/upgrade-lock.yml") if step.get("id") == "lock"]
    output = folder / "output"
    assert 0 == bash(step["run"], GITHUB_OUTPUT=str(output)).returncode
    assert not output.exists()
    index.add(build_wheel("a", "2.0"))
    ran = bash(step["run"], GITHUB_OUTPUT=str(output), MINGLIBC_REFRESH="1")
    assert "a 1.0 → 2.0" in ran.stdout
    assert "changed=true\n" == output.read_text()
    ran = bash(step["run"], MINGLIBC_INDEX_URL="http://127.0.0.1:9/", MINGLIBC_REFRESH="1")
    assert 0 != ran.returncode
    assert "error:" in ran.stdout


def test_container_file() -> None:
    """The container file copies what the build backend needs."""
    lines = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY "):
            assert all((ROOT / name).exists() for name in line.split()[1:-1])


@pytest.mark.online
def test_action_installs(tmp_path: Path) -> None:
    """The action installs minglibc beside the job's Python, not in front of it on PATH."""
    install, _ = steps("action.yml")
    files = {name: str(tmp_path / name) for name in ("GITHUB_PATH", "GITHUB_OUTPUT")}
    ran = bash(install["run"], PYTHON=sys.executable, RUNNER_TEMP=str(tmp_path), GITHUB_ACTION_PATH=str(ROOT), **files)
    assert 0 == ran.returncode, ran.stderr
    assert ["minglibc"] == os.listdir((tmp_path / "GITHUB_PATH").read_text().strip())
    program = (tmp_path / "GITHUB_OUTPUT").read_text().strip().removeprefix("minglibc=")
    assert subprocess.run([program, "--version"], capture_output=True, check=False).stdout.startswith(b"minglibc ")
