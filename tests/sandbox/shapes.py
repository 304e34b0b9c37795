"""Holds a JSON value against a documented sample: the same fields, types and formats, in both directions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "samples"
# Typed by each event itself: only that they are objects is documented (contracts/revento.md §12.1).
OPAQUE = {"custom_form_fields", "activity_details"}
# What a string is when its sample looks like this.
FORMATS = {
    "stamp": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "color": re.compile(r"#[0-9A-F]{6}"),
    "url": re.compile(r"https://.*"),
}
ID = re.compile(r"(evt|ptp|usr|act|thr|loc|ven|bld|flr|org|role|wave|mkr|app)_.+")


def sample(name: str) -> Any:
    """A documented sample; what it only hints at is filled in from the others."""
    if name == "activities":
        return sample("page") | {"data": [sample("activity")]}
    document = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    if name == "program":
        document["threads"][0]["activities"] = [sample("activity")]
    if name == "activity":
        venue = sample("locations")["venues"][0]
        document["location"] = venue["locations"][0] | {"venue": {"id": venue["id"], "name": venue["name"]}}
    return document


def differences(documented: Any, value: Any, path: str = "") -> Iterator[str]:
    """Where a value departs from its sample: `path: missing`, `: undocumented`, `: null`, or `: no <kind>`."""
    if documented is None:  # the sample tells nothing but that it may be null
        return
    if value is None:
        yield f"{path}: null"
    elif isinstance(documented, dict):
        yield from _object(documented, value, path)
    elif isinstance(documented, list):
        yield from _list(documented, value, path)
    elif (kind := _kind(documented)) != _kind(value) and not (kind == "float" and _kind(value) == "int"):
        yield f"{path}: no {kind}"


def _object(documented: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: no object"
    elif path.rpartition(".")[2] not in OPAQUE:
        yield from (f"{path}.{key}: missing" for key in documented.keys() - value.keys())
        yield from (f"{path}.{key}: undocumented" for key in value.keys() - documented.keys())
        for key in documented.keys() & value.keys():
            yield from differences(documented[key], value[key], f"{path}.{key}")


def _list(documented: list[Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: no list"
    elif documented:
        for item in value:
            yield from differences(documented[0], item, f"{path}[]")


def _kind(value: Any) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    for name, pattern in FORMATS.items():
        if pattern.fullmatch(value):
            return name
    found = ID.fullmatch(value)
    return f"{found[1]}_ id" if found else "str"
