"""How fast minglibc is, measured as a user would: whole commands against an index on loopback."""
