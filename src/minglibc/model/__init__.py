"""Values: targets, versions, requirements, files, pages. No I/O."""
