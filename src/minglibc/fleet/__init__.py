"""Machines that environments are installed on: what they have, measured over ssh or read from inventories."""
