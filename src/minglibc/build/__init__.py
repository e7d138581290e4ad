"""Source distributions, build backends and build environments."""
