"""Folders and archives that install without network."""
