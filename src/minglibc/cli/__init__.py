"""The command line: arguments, dispatch, and errors as people read them."""


def main() -> int:
    """Run the command line; the value is the exit code."""
    return 0
