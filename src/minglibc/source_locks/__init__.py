"""Locks of other tools, read into one model: what minglibc takes versions, requirements and hashes from."""
