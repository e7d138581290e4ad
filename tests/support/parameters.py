"""Parameters of tests with many variants of one kind."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def one_in(count: int, values: Iterable[object]) -> list[ParameterSet]:
    """*values* as parameters; only the first of each *count* runs by default, the others as slow tests."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=[pytest.mark.slow] if i % count else [])
        for i, value in enumerate(values)
    ]
