"""Rows in creation order, each with its serialized bytes kept until it changes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def dump(value: object) -> bytes:
    """Compact UTF-8 JSON, as the API sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Row:
    """One object of the API and its creation sequence number. Assign `value`, never mutate it."""

    __slots__ = ("_body", "_value", "seq")

    def __init__(self, seq: int, value: Json) -> None:
        self.seq = seq
        self._value = value
        self._body: bytes | None = None

    @property
    def value(self) -> Json:
        """The object; treat as read-only."""
        return self._value

    @value.setter
    def value(self, value: Json) -> None:
        self._value = value
        self._body = None

    @property
    def body(self) -> bytes:
        """The object's JSON bytes."""
        if self._body is None:
            self._body = dump(self._value)
        return self._body


class Collection:
    """The rows of one listing, told apart by `key`. Sequence numbers are never reused, so that a keyset position
    survives any change."""

    def __init__(self, key: str = "id") -> None:
        self._key = key
        self._rows: dict[str, Row] = {}
        self._order: list[Row] = []
        self.next_seq = 1

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._order)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def get(self, row_id: str) -> Row:
        """The row; `KeyError` when there is none."""
        return self._rows[row_id]

    def find(self, row_id: str) -> Row | None:
        """The row, or None when there is none."""
        return self._rows.get(row_id)

    def ids(self) -> list[str]:
        """Ids in creation order."""
        return [row.value[self._key] for row in self._order]

    def append(self, value: Json) -> Row:
        """Add a row at the end; `ValueError` when its id exists."""
        if value[self._key] in self._rows:
            raise ValueError(f"{self._key} {value[self._key]!r} exists already")
        row = Row(self.next_seq, value)
        self.next_seq += 1
        self._rows[value[self._key]] = row
        self._order.append(row)
        return row

    def remove(self, row_id: str) -> Json:
        """Take a row out and return its object; `KeyError` when there is none."""
        row = self._rows.pop(row_id)
        del self._order[self._place(row.seq) - 1]
        return row.value

    def after(self, seq: int, limit: int) -> tuple[list[Row], bool]:
        """Up to `limit` rows created after `seq`, and whether more follow."""
        start = self._place(seq)
        return self._order[start : start + limit], start + limit < len(self._order)

    def _place(self, seq: int) -> int:
        return bisect_right(self._order, seq, key=lambda row: row.seq)
