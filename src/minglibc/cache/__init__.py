"""The cache folder: pages, metadata and wheels."""
