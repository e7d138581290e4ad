"""Where minglibc touches the world: files, networks, interpreters."""
