"""What binaries need, checked against the cap."""
