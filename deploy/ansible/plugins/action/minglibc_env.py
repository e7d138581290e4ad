"""The action minglibc_env."""

from __future__ import annotations

import os
import secrets
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.minglibc.fleet.plugins.plugin_utils import bundles, remote

_ARGUMENTS = {
    "bundle": {"type": "list", "elements": "path"},
    "lock": {"type": "path"},
    "allowed_signers": {"type": "path"},
    "root": {"type": "str", "required": True},
    "keep": {"type": "int", "default": 3},
    "python": {"type": "str", "default": ""},
    "smoke": {"type": "str", "default": "python -c ''"},
    "umask": {"type": "str", "default": "022"},
    "wait": {"type": "int", "default": 60},
}
# Files that another run removed, or that are damaged, are sent again.
_ATTEMPTS = 3


class ActionModule(ActionBase):
    """Installs a bundle below a root on the target, and switches to it."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Deploy, and return what changed."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            _ARGUMENTS,
            mutually_exclusive=[("bundle", "lock"), ("allowed_signers", "lock")],
            required_one_of=[("bundle", "lock")],
        )
        _check(arguments)
        bundles.need_minglibc()
        host = str((task_vars or {}).get("inventory_hostname", ""))
        target = remote.Target(self, remote.check_root(arguments["root"]), arguments["umask"])
        for attempt in range(_ATTEMPTS):
            try:
                outcome = self._deploy(target, arguments, host)
            except remote.StoreIncomplete:
                if attempt == _ATTEMPTS - 1:
                    raise AnsibleActionFail(
                        "files on the target are damaged again and again; is its disk full?"
                    ) from None
            else:
                break
        result.update(outcome)
        return result

    def _deploy(self, target: remote.Target, arguments: dict[str, Any], host: str) -> dict[str, Any]:
        status, output = target.status(bundles.measure_script(), arguments["python"])
        facts = bundles.read_facts(host, output, arguments["python"])
        with bundles.failing():
            if arguments["lock"]:
                bundle, python = bundles.bundle_of_lock(facts, self._find(arguments["lock"]))
            else:
                paths = [self._find(path) for path in arguments["bundle"]]
                signers = self._find(arguments["allowed_signers"]) if arguments["allowed_signers"] else ""
                bundle, python = bundles.choose_bundle(facts, paths, signers)
        before, after = bundles.versions_of(status.files), bundles.versions_of(bundle.files)
        outcome: dict[str, Any] = {
            "changed": bundle.id != status.current or bundle.id not in status.releases,
            "release": bundle.id,
            "before": status.current,
            "target": bundles.selection.target_name(bundle.target),
            "packages": {
                name: {"before": before.get(name, ""), "after": after.get(name, "")}
                for name in sorted({*before, *after})
                if before.get(name) != after.get(name)
            },
            "removed": [],
            "sent": 0,
        }
        if not outcome["changed"]:
            return outcome
        if self._task.diff:
            outcome["diff"] = {
                "before_header": f"{arguments['root']}/current",
                "after_header": f"{arguments['root']}/current",
                "before": bundles.describe(status.current, status.files),
                "after": bundles.describe(bundle.id, bundle.files),
            }
        missing: list[tuple[str, str]] = []
        if bundle.id not in status.releases:
            missing = [(digest, path) for digest, path in bundle.paths.items() if digest not in status.stored]
            with bundles.failing():
                _check_space(missing, bundle, status)
        if not self._task.check_mode:
            with bundles.failing():
                outcome["sent"] = target.send(missing, secrets.token_hex(8))
            outcome["removed"] = target.deploy(
                bundle.sums,
                keep=arguments["keep"],
                wait=arguments["wait"],
                python=python,
                smoke=arguments["smoke"],
            )
        return outcome

    def _find(self, path: str) -> str:
        """The file or folder on the controller; relative paths are those of the playbook or role, as for other actions."""
        if os.path.isabs(path):
            return path
        return self._find_needle("files", path)


def _check(arguments: dict[str, Any]) -> None:
    if arguments["keep"] < 1:
        raise AnsibleActionFail("keep must be at least 1")
    if arguments["wait"] < 0:
        raise AnsibleActionFail("wait must not be negative")
    umask = arguments["umask"]
    if not (3 <= len(umask) <= 4 and set(umask) <= set("01234567")):
        raise AnsibleActionFail(f"umask is {umask!r}; it must be an octal number such as '022', in quotes")


def _check_space(missing: list[tuple[str, str]], bundle: bundles.Bundle, status: remote.Status) -> None:
    needed = (sum(os.path.getsize(path) for _, path in missing) + bundle.unpacked_size) >> 10
    if needed > status.free_kib:
        raise AnsibleActionFail(
            f"the release needs {needed >> 10} MiB, and {status.free_kib >> 10} MiB are free on the target"
        )
