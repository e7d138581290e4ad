"""The action minglibc_facts."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.minglibc.fleet.plugins.plugin_utils import bundles, remote


class ActionModule(ActionBase):
    """Reads what decides which wheels the target can load."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the facts of the target."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"root": {"type": "str"}})
        bundles.need_minglibc()
        root = remote.check_root(arguments["root"]) if arguments["root"] else ""
        status, output = remote.Target(self, root).status(bundles.measure_script())
        machine, interpreters, _ = bundles.read_facts(str((task_vars or {}).get("inventory_hostname", "")), output)
        facts = {key.replace("-", "_"): value for key, value in machine.table.items()}
        facts["interpreters"] = {str(version): path for version, path in interpreters.items()}
        if root:
            facts.update(current=status.current, previous=status.previous, releases=sorted(status.releases))
        result.update(changed=False, ansible_facts={"minglibc": facts})
        return result
