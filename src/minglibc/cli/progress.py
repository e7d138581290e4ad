"""Names of cli.output for the modules that still use them."""

from argparse import Namespace

from minglibc.cli.output import Terminal


class Progress(Terminal):
    """The terminal, as the arguments say."""

    def __init__(self, arguments: Namespace) -> None:
        super().__init__(quiet=arguments.quiet, verbose=arguments.verbose)


class Bars(Progress):
    """The same."""

    @property
    def advance(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Draw a bar."""
        return self.downloading
