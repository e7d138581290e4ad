"""Names of cli.output for the modules that still use them."""

from minglibc.cli.output import print_table

__all__ = ["print_table"]
