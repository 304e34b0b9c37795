"""Typed reading of one JSON object, field by field, with the JSON path of whatever does not fit.

A value that cannot be stored is noted and read as None, so that the rest of its row is kept
(docs/warehouse.md §1, rule 12). Fields that nobody asked for are kept too (rule 11).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from syncd.wire.json_text import nests_deeper_than

T = TypeVar("T")
Judge = Callable[[Any], str | None]  # why a value cannot be stored, or None

# A btree entry holds about 2,700 bytes and a key is two ids and a slash (docs/faults.md 36).
LONGEST_ID_BYTES = 1000
_INT64 = 2**63
# Far below what exhausts the interpreter's stack, far above what a form is made of (docs/faults.md 74).
DEEPEST_NESTING = 100
# Below what the decoders and encoders bear on top of our own calls, so that none of them gives up half-way.
DEEPEST_ROW = 500
LONGEST_INTEGER = 400  # digits; far more than any column holds, far fewer than Python refuses
_WORDS = {bool: "a flag", int: "an integer", float: "a number", str: "a text", dict: "an object", list: "a list"}
_COMPACT = (",", ":")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INDEX = re.compile(r"\[[0-9]+\]\Z")


@dataclass(frozen=True, slots=True)
class BadValue:
    """A value that was left out of its row: where it stood, why, and itself as JSON."""

    path: str
    reason: str
    raw: str


class RowRejected(Exception):
    """The row has no usable key, or is no JSON object at all."""

    def __init__(self, bad: BadValue) -> None:
        super().__init__(f"{bad.path}: {bad.reason}")
        self.bad = bad


class Fields:
    """One JSON object that is read once, field by field; nested objects share its list of bad values."""

    def __init__(self, values: Mapping[str, Any], path: str, bad: list[BadValue]) -> None:
        self._rest = dict(values)
        self._nested: dict[str, Fields] = {}
        self.path = path
        self.bad = bad

    def id(self, name: str = "id") -> str:
        """A row's identifier, which from now on names the row in paths: `$.data['ptp_1']` in place of `$.data[3]`.

        Read it first: unless it is text of 1 to 1,000 bytes that can be stored, RowRejected is raised with
        everything that is left of the row.
        """
        value = self._rest.get(name)
        reason = _unusable_id(value)
        if reason:
            raise RowRejected(BadValue(f"{self.path}.{name}", reason, encode(self._rest)))
        del self._rest[name]
        self.path = _INDEX.sub(lambda _: f"[{value!r}]", self.path)
        return str(value)

    def ref(self, name: str) -> str | None:
        """Another row's identifier, under the same rules as `id`, or None."""
        return self._take(name, str, _unusable_id)

    def text(self, name: str) -> str | None:
        """A string."""
        return self._take(name, str, unstorable)

    def flag(self, name: str) -> bool | None:
        """A JSON true or false."""
        return self._take(name, bool, lambda _: None)

    def whole(self, name: str) -> int | None:
        """An integer of 64 bits."""
        return self._take(name, int, unstorable)

    def real(self, name: str) -> float | None:
        """A finite number."""
        number = self._take(name, (int, float), unstorable)
        return None if number is None else float(number)

    def stamp(self, name: str) -> datetime | None:
        """An ISO 8601 time with an offset, in UTC."""
        text = self._take(name, str, lambda value: None if parse_stamp(value) else "not a time with an offset")
        return None if text is None else parse_stamp(text)

    def opaque(self, name: str) -> Any:
        """Any JSON value, for a jsonb column."""
        return self._take(name, object, unstorable)

    def unspoilt(self, read: Callable[[], T]) -> tuple[T, bool]:
        """What `read` takes from this object, and whether nothing had to be left out of it."""
        before = len(self.bad)
        return read(), len(self.bad) == before

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object of unknown keys, for a jsonb column, without the entries that cannot be stored."""
        values = self._take(name, dict, lambda _: None)
        return None if values is None else Fields(values, f"{self.path}.{name}", self.bad).rest()

    def ids(self, name: str) -> tuple[str, ...] | None:
        """A list of identifiers in the order given, each once; None when the key is absent or null."""
        values = self._take(name, list, lambda _: None)
        if values is None:
            return None
        return tuple(dict.fromkeys(self._good(name, values, _unusable_id)))

    def nested(self, name: str) -> Fields | None:
        """A nested object; what nobody asks of it shows up in this object's `rest`."""
        values = self._take(name, dict, lambda _: None)
        if values is None:
            return None
        self._nested[name] = Fields(values, f"{self.path}.{name}", self.bad)
        return self._nested[name]

    def rows(self, name: str, *, required: bool = False) -> Iterable[Fields]:
        """A list of objects that are rows of their own; each keeps its own rest."""
        if required and self._rest.get(name) is None:
            self.bad.append(self._describe(name, None, "a list is missing"))
        values = self._take(name, list, lambda _: None) or []
        for index, value in enumerate(values):
            path = f"{self.path}.{name}[{index}]"
            if isinstance(value, dict):
                yield Fields(value, path, self.bad)
            else:
                self.bad.append(BadValue(path, "not an object", encode(value)))

    def skip(self, *names: str) -> None:
        """Fields that copy another object's: stored there, not here."""
        for name in names:
            self._rest.pop(name, None)

    def rest(self) -> dict[str, Any]:
        """What nobody asked for, nested objects included, as far as it can be stored."""
        rest = {name: value for name, value in self._rest.items() if self._storable(name, value)}
        nested = {name: fields.rest() for name, fields in self._nested.items()}
        return rest | {name: value for name, value in nested.items() if value}

    def _take(self, name: str, kind: type[T] | tuple[type[T], ...], unusable: Judge) -> T | None:
        value: Any = self._rest.pop(name, None)
        if value is None:
            return None
        reason = _wrong_kind(value, kind) or unusable(value)
        if reason:
            self.bad.append(self._describe(name, value, reason))
            return None
        return cast(T, value)

    def _good(self, name: str, values: list[Any], unusable: Judge) -> Iterable[Any]:
        for index, value in enumerate(values):
            reason = unusable(value)
            if reason:
                self.bad.append(self._describe(f"{name}[{index}]", value, reason))
            else:
                yield value

    def _storable(self, name: str, value: Any) -> bool:
        reason = unstorable(name) or unstorable(value)
        if reason:
            self.bad.append(self._describe(name, value, reason))
        return not reason

    def _describe(self, name: str, value: Any, reason: str) -> BadValue:
        return BadValue(f"{self.path}.{name}", reason, encode(value))


def parse_row(raw: msgspec.Raw | bytes, path: str, bad: list[BadValue]) -> Fields:
    """One undecoded row, to be read field by field. Raises RowRejected when it is no JSON object that can be read."""
    return Fields(decode_row(raw, path), path, bad)


def decode_row(raw: msgspec.Raw | bytes, path: str) -> dict[str, Any]:
    """One undecoded row, as it is. Raises RowRejected when it is no JSON object that can be read."""
    text = bytes(raw)
    if nests_deeper_than(DEEPEST_ROW, text):
        raise _unread(text, path, f"nested more than {DEEPEST_ROW} deep")
    try:
        values = _decode(text)
    except ValueError as error:
        raise _unread(text, path, str(error)) from error
    if not isinstance(values, dict):
        raise RowRejected(BadValue(path, "not an object", encode(values)))
    return values


def _unread(text: bytes, path: str, reason: str) -> RowRejected:
    return RowRejected(BadValue(path, reason, text.decode("utf-8", "backslashreplace")))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A number that no type of ours holds, as it was written: `1e400`, `NaN`, five thousand digits."""

    literal: str


def _decode(raw: bytes) -> Any:
    """The row; a value for which the fast decoder refuses all of it, the slow one gives as Unreadable."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return json.loads(raw, parse_float=_real, parse_int=_whole, parse_constant=Unreadable)


def _real(literal: str) -> float | Unreadable:
    number = float(literal)
    return number if math.isfinite(number) else Unreadable(literal)


def _whole(literal: str) -> int | Unreadable:
    return int(literal) if len(literal) <= LONGEST_INTEGER else Unreadable(literal)


def parse_stamp(text: str) -> datetime | None:
    """An ISO 8601 time with an offset, in UTC; None for anything else, a time without an offset included."""
    try:
        stamp = msgspec.convert(text, datetime)
        return stamp.astimezone(UTC) if stamp.tzinfo else None
    except (msgspec.ValidationError, OverflowError):
        return None


def unstorable(value: Any, depth: int = 0) -> str | None:
    """Why PostgreSQL would refuse this value, or None when it would take it."""
    if depth > DEEPEST_NESTING:
        return f"nested more than {DEEPEST_NESTING} deep"
    match value:
        case bool() | None:
            return None
        case str():
            return _unstorable_text(value)
        case int():
            return None if -_INT64 <= value < _INT64 else "an integer of more than 64 bits"
        case float():
            return None if math.isfinite(value) else "not a finite number"
        case dict():
            return _first(unstorable(item, depth + 1) for pair in value.items() for item in pair)
        case list():
            return _first(unstorable(item, depth + 1) for item in value)
        case Unreadable():
            return "a number that no column holds"
        case _:
            return f"an unexpected {type(value).__name__}"


def _unstorable_text(value: str) -> str | None:
    if "\0" in value:
        return "holds a NUL character"
    # only the slow decoder lets a lone surrogate through, and UTF-8 has no form for it
    return None if value.isascii() or not _SURROGATE.search(value) else "holds half of a surrogate pair"


def encode(value: Any) -> str:
    """A decoded value as JSON again, for people and for a later replay."""
    text = json.dumps(value, default=_literal, ensure_ascii=False, separators=_COMPACT)
    has_surrogate = not text.isascii() and _SURROGATE.search(text)
    return json.dumps(value, default=_literal, separators=_COMPACT) if has_surrogate else text


def _literal(number: Unreadable) -> str:
    return number.literal


def _first(reasons: Iterable[str | None]) -> str | None:
    return next((reason for reason in reasons if reason), None)


def _wrong_kind(value: Any, kind: Any) -> str | None:
    if isinstance(value, Unreadable):
        return unstorable(value)
    is_flag_as_number = isinstance(value, bool) and kind not in (bool, object)
    return f"{_WORDS[type(value)]} stands here" if is_flag_as_number or not isinstance(value, kind) else None


def _unusable_id(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return "not an identifier"
    return unstorable(value) or _too_long(value)


def _too_long(value: str) -> str | None:
    return f"longer than {LONGEST_ID_BYTES} bytes" if len(value.encode()) > LONGEST_ID_BYTES else None
