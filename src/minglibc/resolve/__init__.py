"""From requirements and an index to one version of each package for each target. No I/O."""
