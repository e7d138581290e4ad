"""Documentation of the action minglibc_facts, which needs no module on the target."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minglibc_facts
short_description: Read what decides which Python wheels a machine can load
description:
  - Reads the C library, libstdc++, the architecture, the CPU level and the CPython interpreters of the target.
  - The target needs a POSIX shell and no Python.
version_added: 0.2.0
author:
  - The minglibc founders (@minglibc)
options:
  root:
    description:
      - A root of O(minglibc.fleet.minglibc_env#module:root) whose releases are added to the facts.
    type: str
requirements:
  - minglibc on the controller, in the Python of Ansible
attributes:
  check_mode:
    description: The action changes nothing.
    support: full
  diff_mode:
    description: The action changes nothing.
    support: none
seealso:
  - module: minglibc.fleet.minglibc_env
"""

EXAMPLES = r"""
- name: Read the C library and the interpreters
  minglibc.fleet.minglibc_facts:

- name: Print the version of glibc
  ansible.builtin.debug:
    var: ansible_facts.minglibc.glibc
"""

RETURN = r"""
ansible_facts:
  description: The facts, as V(minglibc) of RV(ignore:ansible_facts).
  returned: always
  type: dict
  contains:
    minglibc:
      description:
        - V(architecture), V(glibc) or V(musl), V(python) (versions, the default interpreter first), V(interpreters)
          (their paths by version), V(distribution), V(libstdcxx), V(cpu) and V(free_kib).
        - With O(root) also V(current), V(previous) and V(releases).
      type: dict
      returned: always
"""
