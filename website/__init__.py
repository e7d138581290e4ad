"""Generates what the documentation publishes: the site, and the JSON Schema of the settings."""
