"""pyproject.toml, requirements files and scripts, read and edited."""
