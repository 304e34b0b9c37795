"""What a driver orders on the control port: which calls it concerns, and the judgement of what was sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

ONE_OR_MORE = frozenset({"nth", "trickle_bytes", "chunk_bytes", "loop_pages"})
ANY_SIGN = frozenset({"truncate_bytes", "flip_byte", "date_error_s"})


@dataclass(kw_only=True)
class Aim:
    """The calls that an order concerns, counted from the order on. Only admitted calls count: one that was refused for
    its token, scope or budget does not match.

    `endpoint` is a path template such as `/events/{event_id}/participants` or `/oauth/token`; None = any. `event_id`:
    None = any. `nth`: the first matching call is 1.
    """

    endpoint: str | None = None
    event_id: str | None = None
    nth: int = 1

    def matches(self, endpoint: str, event_id: str | None) -> bool:
        """Whether the call is of the kind that counts."""
        return self.endpoint in (None, endpoint) and self.event_id in (None, event_id)


Ordered = TypeVar("Ordered", bound=Aim)


def read(kind: type[Ordered], order: Mapping[str, Any], endpoints: Collection[str]) -> Ordered:
    """The order as an object; `ValueError` on an unknown field or endpoint, a value of the wrong type or out of
    range."""
    hints = get_type_hints(kind)
    if unknown := set(order) - set(hints):
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}; there are {', '.join(sorted(hints))}")
    for name, value in order.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} must be {_plain(hints[name])}, not {value!r}")
        _check_range(name, value)
    if order.get("endpoint") not in (None, *endpoints):
        raise ValueError(f"unknown endpoint {order['endpoint']!r}; known: {', '.join(endpoints)}")
    return kind(**order)


def _check_range(name: str, value: object) -> None:
    if not isinstance(value, int | float) or name in ANY_SIGN:
        return
    least = 1 if name in ONE_OR_MORE else 0
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")


def _fits(value: object, hint: Any) -> bool:
    """Whether a JSON value is of the type that a field is annotated with."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if hint is float:
        return type(value) is int or (isinstance(value, float) and math.isfinite(value))
    return hint is Any or type(value) is hint


def _plain(hint: Any) -> str:
    """A type in words of JSON."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_plain(one) for one in inner)
    if origin is Literal:
        return " or ".join(repr(one) for one in inner)
    if origin is list:
        return f"a list of {_plain(inner[0])}"
    if origin is dict:
        return "an object" if inner[1] is Any else f"an object of {_plain(inner[1])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(hint, "null")
