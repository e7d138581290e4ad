"""Names of cli.output for the modules that still use them."""

from minglibc.cli.output import print_message as say

__all__ = ["say"]
