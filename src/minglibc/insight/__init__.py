"""What explains a lock: why, outdated, caps, report."""
