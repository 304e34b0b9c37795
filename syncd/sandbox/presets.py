"""Faults by name: what a server, a proxy or a network does wrong, as fields of `syncd.sandbox.fault.Fault`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHER_ID = "00000000-0000-4000-8000-000000000000"
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
MORE: dict[str, Any] = {"has_more": True}


@dataclass(frozen=True, slots=True)
class Preset:
    """A fault by name. An order may say more, or otherwise, than its `fields`."""

    name: str
    does: str
    fields: Mapping[str, Any]


PRESETS = (
    # The connection
    Preset("reset", "the connection is reset before the first byte", {"drop": True, "reset": True}),
    Preset("no_answer", "the call is handled and never answered", {"drop": True, "after_handling": True, "hang": True}),
    Preset("cut_head", "closed within the head", {"cut_reply_after_bytes": 20}),
    Preset("cut_body", "closed within the body", {"cut_after_bytes": 100}),
    Preset("stalled_body", "silence within the body", {"cut_after_bytes": 100, "hang": True}),
    Preset("drip", "a byte of the body each 0.3 s", {"trickle_s": 0.3}),
    Preset("drip_head", "a byte each 0.3 s from the first on", {"trickle_s": 0.3, "trickle_head": True}),
    Preset("close_idle", "closed as soon as the reply is out, though kept alive by its words", {"close_idle_s": 0}),
    Preset("close_on_next", "closed when the next request on the connection arrives", {"close_on_next": True}),
    # Framing and head
    Preset("length_too_short", "Content-Length is 10 bytes too small", {"length_errors": [-10]}),
    Preset("length_too_long", "Content-Length is 10 bytes too large, then the end", {"length_errors": [10]}),
    Preset("two_lengths", "two Content-Length headers that differ", {"length_errors": [0, 10]}),
    Preset("chunked", "well-formed chunks", {"chunk_bytes": 512}),
    Preset("chunk_cut", "closed within the first chunk", {"chunk_bytes": 512, "cut_after_bytes": 300}),
    Preset("eof_cut", "no length, and the end comes early", {"eof_delimited": True, "truncate_bytes": 100}),
    Preset("interim_flood", "1000 replies of status 103 come first", {"interim_replies": 1000}),
    Preset("header_flood", "1000 more headers", {"extra_headers": 1000}),
    Preset("long_header", "a header of 100 000 bytes", {"long_header_bytes": 100_000}),
    Preset("folded_header", "a header over two lines (obs-fold)", {"folded_header": True}),
    # The body
    Preset("gzip_cut", "gzip cut at byte 100, with the length to match", {"gzip": True, "truncate_bytes": 100}),
    Preset("gzip_bad_crc", "gzip with a wrong checksum", {"gzip": True, "flip_byte": -8}),
    Preset("gzip_no_trailer", "gzip without its last 8 bytes", {"gzip": True, "truncate_bytes": -8}),
    Preset("gzip_garbage", "gzip, and text behind its end", {"gzip": True, "append": "garbage"}),
    Preset("gzip_bomb", "256 kB that inflate to 256 MiB", {"inflates_to": 2**28}),
    Preset("empty_body", "200 and nothing", {"body": ""}),
    Preset("null_body", "200 and null", {"body": "null"}),
    Preset("html", "200 and a web page", {"body": "<h1>Welcome</h1>", "content_type": "text/html"}),
    Preset("bad_gateway", "502 and a web page", {"status": 502, "body": "<h1>Oops</h1>", "content_type": "text/html"}),
    Preset("wrong_media_type", "JSON under text/html", {"headers": {"Content-Type": "text/html"}}),
    Preset("next_version", "version 2", {"headers": {"Content-Type": "application/vnd.revento.v2+json"}}),
    # Whose reply, and how old
    Preset("foreign_id", "the echo is another request's id", {"headers": {"X-Revento-Request-Id": OTHER_ID}}),
    Preset("no_id", "no echo of the request id", {"headers": {"X-Revento-Request-Id": None}}),
    Preset("swapped_ids", "two calls in flight get each other's echo", {"swap": "ids", "times": 2}),
    Preset("swapped_replies", "two calls in flight get each other's reply", {"swap": "replies", "times": 2}),
    Preset("cached", "the first reply to this URL again, verbatim", {"replay": True, "nth": 2}),
    Preset("aged", "Age: 86400", {"headers": {"Age": "86400"}}),
    Preset("old_date", "Date lies an hour back", {"date_error_s": -3600}),
    # Limits
    Preset("no_rate_headers", "no X-RateLimit-*", {"headers": dict.fromkeys(RATE_HEADERS)}),
    Preset("odd_rate_headers", "words in X-RateLimit-*", {"headers": dict.fromkeys(RATE_HEADERS, "soon")}),
    Preset("odd_retry_after", "429 with a Retry-After of -1", {"status": 429, "headers": {"Retry-After": "-1"}}),
    # Redirects; order a Location of your own
    *(
        Preset(f"redirect_{status}", f"{status} to another path", {"status": status, "headers": {"Location": "/moved"}})
        for status in (301, 302, 303, 307, 308)
    ),
    # Pages: for an endpoint that has them
    Preset("cursor_loop", "the walk goes round in 3 pages, for ever", {"loop_pages": 3, "times": None}),
    Preset("repeated_page", "the page comes again under the next cursor", {"hold_cursor": True}),
    Preset("endless_page", "it comes under each new cursor, for ever", {"hold_cursor": True, "times": None}),
    Preset("empty_page", "an empty page, and more follows", {"hold_cursor": True, "set": {"data": []}}),
    Preset("endless_empty", "empty pages for ever", {"hold_cursor": True, "set": {"data": []}, "times": None}),
    Preset("null_cursor", "more follows, but no cursor", {"set": MORE | {"next_cursor": None}}),
    Preset("empty_cursor", "more follows, under an empty cursor", {"set": MORE | {"next_cursor": ""}}),
    Preset("no_cursor", "more follows, without a word on the cursor", {"set": MORE, "remove": ["next_cursor"]}),
    Preset("no_has_more", "not a word on whether more follows", {"remove": ["has_more"]}),
    Preset("other_event", "another event's rows", {"other_event": True}),
)
BY_NAME = {preset.name: preset for preset in PRESETS}


def expand(order: Mapping[str, Any]) -> dict[str, Any]:
    """The order with the fields of its `preset`, if it names one; headers and `set` are merged. `ValueError` for an
    unknown preset."""
    said = dict(order)
    name = said.pop("preset", None)
    if name is None:
        return said
    if name not in list(BY_NAME):
        raise ValueError(f"no preset {name!r}; there are {', '.join(BY_NAME)}")
    fields = dict(BY_NAME[name].fields)
    for key in ("headers", "set"):
        if isinstance(said.get(key), dict):
            said[key] = {**fields.get(key, {}), **said[key]}
    return fields | said
