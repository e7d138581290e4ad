"""pylock.toml: written, read back, checked for freshness, exported."""
