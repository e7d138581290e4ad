"""Explains a lock: why, outdated, caps and report."""
