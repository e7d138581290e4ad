"""What each command does, with typed options and a reporter: the public Python API."""
