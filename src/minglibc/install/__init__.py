"""Interpreters and environments: wheels installed, upgraded and removed."""
