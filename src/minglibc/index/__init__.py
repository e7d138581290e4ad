"""Package indexes: HTTP, pages, metadata, credentials."""
