"""The action minglibc_rollback."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.minglibc.fleet.plugins.plugin_utils import bundles, remote


class ActionModule(ActionBase):
    """Switches to the previous release."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Roll back, and return the releases before and after."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "root": {"type": "str", "required": True},
                "release": {"type": "str", "default": ""},
                "smoke": {"type": "str", "default": "python -c ''"},
                "wait": {"type": "int", "default": 60},
            }
        )
        bundles.need_minglibc()
        root = remote.check_root(arguments["root"])
        target = remote.Target(self, root)
        status, _ = target.status(b"\n")
        if arguments["release"] and arguments["release"] != status.current:
            result.update(changed=False, before=status.current, release=status.current)
            return result
        if not status.previous:
            raise AnsibleActionFail(f"there is no previous release in {root}")
        after = status.previous
        if not self._task.check_mode:
            after = target.roll_back(status.current, wait=arguments["wait"], smoke=arguments["smoke"])
        # Another run may have switched in the meantime.
        result.update(changed=bool(after), before=status.current, release=after or status.current)
        if self._task.diff:
            names = [f"release {name}\n" for name in (status.current, after)]
            result["diff"] = {"before": names[0], "after": names[1]}
        return result
