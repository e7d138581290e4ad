"""Generates what the documentation publishes: the site, the man pages, and the JSON Schema of the settings."""
