"""A cache in memory that is bounded by the size of its values."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """The values that were used last, up to *limit* bytes in total; one that is larger than an eighth of it is not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """The value of *key*, which becomes the last used."""
        entry = self._values.get(key)
        if entry is None:
            return None
        self._values.move_to_end(key)
        return entry[0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep *value*, which occupies *size* bytes, and drop what was not used for longest."""
        self.drop(key)
        if size > self._limit // 8:
            return
        self._values[key] = value, size
        self.size += size
        while self.size > self._limit:
            _, (_, dropped) = self._values.popitem(last=False)
            self.size -= dropped

    def drop(self, key: Hashable) -> None:
        """Forget the value of *key*."""
        entry = self._values.pop(key, None)
        if entry is not None:
            self.size -= entry[1]
