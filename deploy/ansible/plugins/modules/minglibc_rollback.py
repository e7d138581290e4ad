"""Documentation of the action minglibc_rollback, which needs no module on the target."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minglibc_rollback
short_description: Switch to the previous release
description:
  - Switches C(ROOT/current) to the release that was current before. The action fails if there is none.
  - Each run goes one release further back; O(release) prevents this.
version_added: 0.2.0
author:
  - The minglibc founders (@minglibc)
options:
  root:
    description:
      - The root of M(minglibc.fleet.minglibc_env).
    type: str
    required: true
  release:
    description:
      - The ID of the release to leave. If another one is current, nothing is changed.
    type: str
    default: ""
  smoke:
    description:
      - A shell command that must succeed in the previous release before it becomes current.
    type: str
    default: python -c ''
  wait:
    description:
      - How many seconds to wait for another run that changes O(root).
    type: int
    default: 60
requirements:
  - minglibc on the controller, in the Python of Ansible
attributes:
  check_mode:
    description: Reports what would change.
    support: full
  diff_mode:
    description: Shows both releases.
    support: full
seealso:
  - module: minglibc.fleet.minglibc_env
"""

EXAMPLES = r"""
- name: Switch to the previous release
  minglibc.fleet.minglibc_rollback:
    root: /opt/plant-reports
"""

RETURN = r"""
release:
  description: The ID of the current release.
  returned: success
  type: str
before:
  description: The ID of the release that was current before.
  returned: success
  type: str
"""
