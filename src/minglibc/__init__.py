"""One setting, ``glibc = "2.27"``, and every machine installs wheels that run there."""

__version__ = "0.2.0"
