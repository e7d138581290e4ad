"""``python -m minglibc``."""

import sys

from minglibc.cli import main

sys.exit(main())
