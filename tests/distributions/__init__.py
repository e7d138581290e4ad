"""Generates the table of distributions and their C libraries."""
