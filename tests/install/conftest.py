"""Environments for the tests of the installation."""

import sys
from pathlib import Path

import pytest

from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter, create
from tests.support.transactions import copied


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """An environment that tests copy."""
    return create(str(tmp_path_factory.mktemp("template") / "env"), sys.executable)


@pytest.fixture
def environment(template: Interpreter, tmp_path: Path) -> Environment:
    """An empty environment."""
    return copied(template, tmp_path / "env")
