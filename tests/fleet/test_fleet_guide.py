"""The guide "Deploy to a fleet", with Ansible and two machines that have ssh servers."""

import shutil
from pathlib import Path

import pytest

from tests.repository.test_docs import FLEET, ROOT, Session, blocks, follow
from tests.support.ansible import Controller, ansible
from tests.support.oldglibc import or_skip
from tests.support.ssh import configured_ssh
from tests.support.ssh_fleet import DEBIAN, ssh_fleet

pytestmark = [pytest.mark.oldglibc, pytest.mark.online, pytest.mark.slow]


def test_fleet_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the guide print what it shows."""
    or_skip(ansible)
    context = ssh_fleet(tmp_path / "fleet", [DEBIAN, DEBIAN])
    fleet = or_skip(context.__enter__)
    try:
        controller = Controller(tmp_path / "project")
        ssh = configured_ssh(tmp_path / "ssh", "/usr/bin/ssh", fleet.configuration("controller-1", "controller-2"))
        for name, value in controller.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{ssh}:{controller.variables['PATH']}")
        monkeypatch.delenv("MINGLIBC_INDEX_URL", raising=False)
        monkeypatch.chdir(controller.folder)
        (controller.folder / "minglibc").symlink_to(ROOT)
        shutil.rmtree(controller.folder / ".collections/ansible_collections")
        follow(blocks(FLEET), Session(controller.folder))
    finally:
        context.__exit__(None, None, None)
