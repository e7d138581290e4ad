"""The index server: pages of the upstream indexes, reduced to the files within a cap."""
