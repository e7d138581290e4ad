"""Documentation of the action minglibc_env, which needs no module on the target."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minglibc_env
short_description: Deploy a Python environment atomically
description:
  - Chooses the bundle for the machine, sends the files that it lacks, installs them into C(ROOT/releases/ID), runs the
    smoke test, and switches the symbolic link C(ROOT/current) to it.
  - If a step fails, C(ROOT/current) is unchanged. A run that was killed is cleaned up by the next one.
  - The target needs a POSIX shell, C(sha256sum), C(mv -T) (GNU or busybox) and the Python of the bundle. Nothing outside of
    O(root) is changed.
version_added: 0.2.0
author:
  - The minglibc founders (@minglibc)
options:
  bundle:
    description:
      - Paths on the controller of what C(minglibc bundle) has created, folders or archives, or of folders that contain them.
      - The one for the machine is used.
      - Either O(bundle) or O(lock) is required.
    type: list
    elements: path
  allowed_signers:
    description:
      - A file on the controller in the format of C(ssh-keygen), one of whose signers must have signed the bundle.
      - The signature is verified on the controller, and the target accepts only files with the digests that it covers.
    type: path
  lock:
    description:
      - The path on the controller of a C(pylock.toml), from which the bundle for the machine is created.
      - A new release of pip changes the bundle. Create bundles yourself, or require pip in the project, to avoid this.
    type: path
  root:
    description:
      - The absolute path of the folder on the target.
      - It must belong to the user of the task.
    type: str
    required: true
  keep:
    description:
      - How many releases to keep, with the current one.
    type: int
    default: 3
  python:
    description:
      - The path of the interpreter on the target; by default, the first of C(python3), C(python3.6), C(python3.7), …, on the
        search path or in C(/usr/bin), C(/usr/local/bin) and C(/opt/python/bin), that a bundle supports. If there is none, a
        bundle with its own interpreter is used.
    type: str
    default: ""
  smoke:
    description:
      - A shell command that must succeed in the new release before it becomes current.
      - C(python) is the interpreter of the release. The timeout is that of the task.
    type: str
    default: python -c ''
  umask:
    description:
      - The umask of the installed files, in quotes.
    type: str
    default: "022"
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
    description: Shows the wheels that differ.
    support: full
seealso:
  - module: minglibc.fleet.minglibc_facts
  - module: minglibc.fleet.minglibc_rollback
"""

EXAMPLES = r"""
- name: Deploy the bundle for this machine
  minglibc.fleet.minglibc_env:
    bundle:
      - bundles
    root: /opt/plant-reports
    smoke: python -c 'import plant_reports'

- name: Deploy a lock
  minglibc.fleet.minglibc_env:
    lock: /srv/plant-reports/pylock.toml
    root: /opt/plant-reports
"""

RETURN = r"""
release:
  description: The ID of the release; the first 16 digits of the SHA-256 of the bundle's SHA256SUMS.
  returned: success
  type: str
before:
  description: The ID of the release that was current before; empty without one.
  returned: success
  type: str
target:
  description: The target of the bundle.
  returned: success
  type: str
  sample: cp39-x86_64-glibc2.28
packages:
  description: The versions before and after of the packages that differ.
  returned: success
  type: dict
sent:
  description: How many bytes of files were sent.
  returned: success
  type: int
removed:
  description: The IDs of the releases that were removed.
  returned: success
  type: list
  elements: str
"""
