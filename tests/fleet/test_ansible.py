"""The Ansible collection, with Ansible on this machine and real bundles."""

import sys
import tarfile
from pathlib import Path

import pytest

from tests.support import child, oldglibc
from tests.support.ansible import COLLECTION, Controller, ansible
from tests.support.oldglibc import or_skip

pytestmark = [pytest.mark.online, pytest.mark.slow]

HERE = f"3.{sys.version_info.minor}"
LOCAL = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """A folder with the collection."""
    or_skip(ansible)
    return Controller(tmp_path / "controller")


def write_bundle(controller: Controller, output: str, *requirements: str) -> None:
    """Lock *requirements* in the folder project and write a bundle to *output*."""
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    controller.write(
        "project/pyproject.toml",
        f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">={HERE}"\ndependencies = [{listed}]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{HERE}"]\narchitectures = ["x86_64"]\n',
    )
    for command in (["lock"], ["bundle", "-o", str(controller.folder / output)]):
        ran = child.run(*command, cwd=controller.folder / "project", variables=oldglibc.ENVIRONMENT)
        assert ran.returncode == 0, ran.stderr


def test_build(controller: Controller) -> None:
    """The collection can be built, contains all plugins, and its actions are documented."""
    source = controller.folder / ".collections/ansible_collections/minglibc/fleet"
    controller.run("ansible-galaxy", "collection", "build", str(source))
    (archive,) = controller.folder.glob("minglibc-fleet-*.tar.gz")
    with tarfile.open(archive) as opened:
        names = set(opened.getnames())
    files = {
        path.relative_to(COLLECTION).as_posix()
        for path in (COLLECTION / "plugins").rglob("*.*")
        if path.suffix != ".pyc"
    }
    assert files <= names
    assert "ROOT/current" in controller.run("ansible-doc", "minglibc.fleet.minglibc_env")


@pytest.mark.nightly
def test_lint(controller: Controller) -> None:
    """ansible-lint accepts the collection with its strictest profile."""
    source = controller.folder / ".collections/ansible_collections/minglibc/fleet"
    controller.run("sh", "-c", f"cd {source} && exec ansible-lint -q")


STEPS = """
- hosts: all
  gather_facts: false
  vars:
    env: &env
      bundle: one
      root: "{{ root }}"
      smoke: python -c 'import six'
  tasks:
    - minglibc.fleet.minglibc_env: {<<: *env}
      check_mode: true
      register: checked
    - minglibc.fleet.minglibc_env: {<<: *env}
      register: first
    - minglibc.fleet.minglibc_env: {<<: *env}
      register: again
    - minglibc.fleet.minglibc_env: {<<: *env, bundle: [two.tar.gz]}
      diff: true
      register: upgrade
    - minglibc.fleet.minglibc_env: {<<: *env, smoke: echo broken; exit 1}
      ignore_errors: true
      register: broken
    - minglibc.fleet.minglibc_facts: {root: "{{ root }}"}
    - minglibc.fleet.minglibc_rollback: {root: "{{ root }}"}
      register: back
    - ansible.builtin.raw: rm "{{ root }}/current/.minglibc-SHA256SUMS"
    - minglibc.fleet.minglibc_env: {<<: *env}
      register: repaired
    - minglibc.fleet.minglibc_env: {root: "{{ root }}", lock: "{{ playbook_dir }}/project/pylock.toml", python: "{{ python }}"}
      register: locked
    - ansible.builtin.assert:
        that:
          - checked is changed and checked.release == first.release
          - first is changed and first.before == "" and first.sent > 10000
          - again is not changed and again.sent == 0
          - upgrade.packages.six.before == "1.16.0" and upgrade.packages.six.after == "1.17.0"
          - upgrade.packages | length == 1
          - upgrade.sent < 40000
          - "'six 1.16.0 (six-1.16.0-py2.py3-none-any.whl' in upgrade.diff.before"
          - "'six 1.17.0 (six-1.17.0-py2.py3-none-any.whl' in upgrade.diff.after"
          - broken is failed and "broken" in broken.msg
          - minglibc.current == upgrade.release and minglibc.previous == first.release
          - minglibc.glibc is match("2[.]") and minglibc.interpreters | length > 0
          - back.before == upgrade.release and back.release == first.release
          - repaired is changed and repaired.before == repaired.release
          - locked.release == upgrade.release and locked.sent > 0
"""


def test_steps(controller: Controller, tmp_path: Path) -> None:
    """Deploy, deploy again, upgrade, fail, roll back, and deploy a lock; the root has a space and a quote."""
    write_bundle(controller, "one", "six==1.16.0")
    write_bundle(controller, "two.tar.gz", "six==1.17.0")
    controller.write("steps.yml", STEPS)
    root = tmp_path / "the app's root"
    # An interpreter that is not on the search path.
    (tmp_path / "py").symlink_to(sys.executable)
    controller.play(*LOCAL, "steps.yml", "-e", f'{{"root": "{root}", "python": "{tmp_path}/py"}}')
    assert {"one", "two.tar.gz", "project", "steps.yml"} == {
        path.name for path in controller.folder.iterdir() if not path.name.startswith(".")
    }
    assert 2 == len(list((root / "releases").iterdir()))
    assert [] == list((controller.folder / ".tmp").glob("*/minglibc"))


ROLE = """
- hosts: all
  gather_facts: false
  roles:
    - role: minglibc.fleet.deploy
      vars: {deploy_root: "{{ root }}", deploy_bundle: [one], deploy_restart: "echo one >>{{ root }}.log"}
- hosts: all
  gather_facts: false
  roles:
    - role: minglibc.fleet.deploy
      vars:
        deploy_root: "{{ root }}"
        deploy_bundle: [two]
        deploy_restart: "basename $(readlink {{ root }}/current) >>{{ root }}.log"
        deploy_check: "false"
"""


def test_role_rolls_back(controller: Controller, tmp_path: Path) -> None:
    """If the check after a switch fails, the role rolls back, restarts the services again, and the host fails."""
    write_bundle(controller, "one", "six==1.16.0")
    write_bundle(controller, "two", "six==1.17.0")
    controller.write("role.yml", ROLE)
    (result,) = controller.play(*LOCAL, "role.yml", "-e", f"root={tmp_path}/root", code=2).values()
    first, *restarts = (tmp_path / "root.log").read_text().splitlines()
    new, old = restarts
    assert ("one", "failed") == (first, result["status"])
    assert f"Release {new} failed after the switch. Current is {old} again." == result["msg"]
    assert f"releases/{old}" == str((tmp_path / "root/current").readlink())
    assert "six-1.16.0" in (tmp_path / "root/current/.minglibc-SHA256SUMS").read_text()


ERRORS = [
    ("root=relative bundle=one", "must be an absolute path"),
    ("root=/ bundle=one", "must be an absolute path"),
    ("root='/opt/$x' bundle=one", "don't work below folders with these characters"),
    ("root=/opt/x", "one of the following is required: bundle, lock"),
    ("root=/opt/x bundle=one lock=two", "mutually exclusive"),
    ("root=/opt/x bundle=missing", "Could not find or access 'missing'"),
    ("root=/opt/x bundle=empty", "is not a bundle, and contains none"),
    ("root=/opt/x bundle=file", "file is not a bundle: "),
    ("root=/opt/x bundle=empty keep=0", "keep must be at least 1"),
    ("root=/opt/x bundle=empty umask=x", "must be an octal number"),
    ("root=/opt/x lock=/nonexistent/pylock.toml", "no "),
]


def test_errors(controller: Controller) -> None:
    """Errors name what is wrong."""
    (controller.folder / "empty").mkdir()
    controller.write("file", "")
    tasks = "".join(
        f"    - minglibc.fleet.minglibc_env: {arguments}\n      ignore_errors: true\n      register: r{number}\n"
        for number, (arguments, _) in enumerate(ERRORS)
    )
    checks = "".join(f"          - r{number} is failed\n" for number in range(len(ERRORS)))
    controller.write(
        "errors.yml",
        f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}    - ansible.builtin.assert:\n        that:\n{checks}",
    )
    output = controller.run("ansible-playbook", *LOCAL, "errors.yml")
    failures = [line for line in output.splitlines() if line.startswith("fatal")]
    for line, (_, message) in zip(failures, ERRORS, strict=True):
        assert message in line
        assert "Traceback" not in line
    assert not Path("/opt/x").exists()
