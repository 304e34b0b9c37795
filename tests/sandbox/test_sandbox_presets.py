"""Faults by name, and orders that make no sense."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from syncd.sandbox import PRESETS
from syncd.sandbox.coding import bomb
from syncd.sandbox.presets import BY_NAME
from tests.sandbox.conftest import Remote
from tests.sandbox.wire import fields, open_wire, reply_bytes

PARTICIPANTS = "/events/{event_id}/participants"
ID = "X-Revento-Request-Id"


def order(remote: Remote, preset: str, **fault: Any) -> None:
    remote.sandbox.faults.add({"preset": preset, "endpoint": PARTICIPANTS, **fault})


async def body_of(remote: Remote, preset: str) -> tuple[dict[str, str], bytes]:
    """Head and raw body under a preset, for a client that asks for gzip or not."""
    order(remote, preset)
    async with open_wire(remote) as wire:
        wire.ask()
        head, body = await wire.whole()
        return fields(head), body


async def test_a_stranger_finds_every_preset_and_each_can_be_ordered(remote: Remote) -> None:
    listed = (await remote.control("GET", "/faults/presets")).json()
    assert [preset["name"] for preset in listed] == [preset.name for preset in PRESETS] == list(BY_NAME)
    assert all(preset["does"] and preset["fields"] for preset in listed)
    for preset in listed:
        assert (await remote.control("POST", "/faults", {"preset": preset["name"]})).status_code == 200


async def test_an_order_adds_to_a_preset_and_wins_over_it(remote: Remote) -> None:
    order(remote, "aged", nth=2, headers={"Age": "7", "Via": "1.1 x"})
    first, second = [await remote.get("/participants") for _ in range(2)]
    assert ("age" in first.headers, second.headers["age"], second.headers["via"]) == (False, "7", "1.1 x")
    order(remote, "null_cursor", set={"data": []})
    assert (await remote.get("/participants")).json() == {"data": [], "next_cursor": None, "has_more": True}


@pytest.mark.fault(6)
async def test_gzip_is_cut_spoilt_or_followed_with_the_length_to_match(remote: Remote) -> None:
    broken = {}
    for preset in ("gzip_cut", "gzip_bad_crc", "gzip_no_trailer", "gzip_garbage"):
        head, broken[preset] = await body_of(remote, preset)
        assert head["content-encoding"] == "gzip"
    assert len(broken["gzip_cut"]) == 100
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(broken["gzip_bad_crc"])
    decoder = zlib.decompressobj(wbits=31)
    assert decoder.decompress(broken["gzip_no_trailer"]).endswith(b',"has_more":true}')
    assert not decoder.eof
    decoder = zlib.decompressobj(wbits=31)
    decoder.decompress(broken["gzip_garbage"])
    assert (decoder.eof, decoder.unused_data) == (True, b"garbage")


@pytest.mark.fault(7)
async def test_a_gzip_bomb_is_small_on_the_wire_and_one_valid_page(remote: Remote) -> None:
    remote.sandbox.faults.add({"preset": "gzip_bomb", "inflates_to": 5_000_000})
    async with open_wire(remote) as wire:
        wire.ask()
        head, body = await wire.whole()
    assert (fields(head)["content-encoding"], len(body) < 10_000) == ("gzip", True)
    inflated = gzip.decompress(body)
    assert len(inflated) == 5_000_000
    assert httpx.Response(200, content=inflated).json() == {"data": [], "next_cursor": None, "has_more": False}


@pytest.mark.fault(7)
def test_a_bomb_never_holds_what_it_inflates_to() -> None:
    tracemalloc.start()
    size = len(bomb(2**28))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 300_000
    assert peak < 8_000_000


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("preset", "status", "media_type"),
    [
        ("html", 200, "text/html"),
        ("bad_gateway", 502, "text/html"),
        ("wrong_media_type", 200, "text/html"),
        ("next_version", 200, "application/vnd.revento.v2+json"),
    ],
)
async def test_media_types(remote: Remote, preset: str, status: int, media_type: str) -> None:
    order(remote, preset)
    reply = await remote.get("/participants")
    assert (reply.status_code, reply.headers["content-type"]) == (status, media_type)


@pytest.mark.fault(11)
async def test_bodies_that_say_nothing(remote: Remote) -> None:
    order(remote, "empty_body")
    order(remote, "null_body")
    assert [(await remote.get("/participants")).text for _ in range(2)] == ["", "null"]


@pytest.mark.fault(13)
async def test_the_echo_may_be_foreign_or_missing(remote: Remote) -> None:
    ours = str(uuid4())
    order(remote, "foreign_id")
    order(remote, "no_id")
    replies = [await remote.get("/participants", headers={ID: ours}) for _ in range(3)]
    assert replies[0].headers[ID] not in (None, ours)
    assert ID not in replies[1].headers
    assert replies[2].headers[ID] == ours


@pytest.mark.fault(13)
@pytest.mark.parametrize(("preset", "swaps_rows"), [("swapped_ids", False), ("swapped_replies", True)])
async def test_two_calls_in_flight_get_each_others(remote: Remote, preset: str, swaps_rows: bool) -> None:
    order(remote, preset)
    ids = [str(uuid4()) for _ in range(2)]
    sizes = (3, 5)
    replies = await asyncio.gather(
        *(
            remote.get("/participants", params={"limit": size}, headers={ID: its})
            for size, its in zip(sizes, ids, strict=True)
        )
    )
    assert [reply.headers[ID] for reply in replies] == ids[::-1]
    assert [len(reply.json()["data"]) for reply in replies] == list(sizes[::-1] if swaps_rows else sizes)
    assert (await remote.get("/participants", headers={ID: ids[0]})).headers[ID] == ids[0]


@pytest.mark.fault(13)
async def test_a_call_that_finds_none_to_swap_with_gets_its_own(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.sandbox.faults.SWAP_WAIT_S", 0.01)
    order(remote, "swapped_replies")
    ours = str(uuid4())
    assert (await remote.get("/participants", headers={ID: ours})).headers[ID] == ours


@pytest.mark.fault(14)
async def test_a_cache_answers_with_its_first_copy_of_the_same_url(remote: Remote) -> None:
    order(remote, "cached", nth=4)
    other, first, second, stale = [await remote.get("/participants", params={"limit": limit}) for limit in (3, 2, 2, 2)]
    assert (stale.content, stale.headers) == (first.content, first.headers)
    assert len({reply.headers[ID] for reply in (other, first, second)}) == 3
    assert [entry["whole"] for entry in remote.sandbox.log()] == [True, True, True, False]


@pytest.mark.fault(14)
async def test_stale_dates(remote: Remote) -> None:
    order(remote, "aged")
    order(remote, "old_date")
    aged, old, fresh = [await remote.get("/participants") for _ in range(3)]
    assert aged.headers["age"] == "86400"
    dates = [parsedate_to_datetime(reply.headers["date"]).timestamp() for reply in (old, fresh)]
    assert 3598 <= dates[1] - dates[0] <= 3605


@pytest.mark.fault(62)
async def test_rate_headers_may_be_missing_or_odd(remote: Remote) -> None:
    order(remote, "no_rate_headers")
    order(remote, "odd_rate_headers")
    bare, odd = [await remote.get("/participants") for _ in range(2)]
    assert [name for name in bare.headers if name.startswith("x-ratelimit")] == []
    assert odd.headers["x-ratelimit-remaining"] == "soon"
    order(remote, "odd_retry_after")
    refused = await remote.get("/participants")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "-1")


@pytest.mark.fault(12)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_lead_elsewhere_for_who_follows_them(remote: Remote, status: int) -> None:
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    location = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/elsewhere"
    for _ in range(2):
        order(remote, f"redirect_{status}", headers={"Location": location})
    reply = await remote.get("/participants")
    assert (reply.status_code, reply.headers["location"], reply.content, asked) == (status, location, b"", [])
    await remote.get("/participants", follow_redirects=True)
    assert asked == [b"GET /elsewhere HTTP/1.1\r\n"]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("fault", "clue"),
    [
        ({"preset": "gzip_bom"}, "gzip_bomb"),
        ({"preset": 7}, "no preset 7"),
        ({"preset": ["reset"]}, "no preset"),
        ({"nth": "2"}, "nth must be a whole number, not '2'"),
        ({"nth": 0}, "nth must be 1 or more, not 0"),
        ({"nth": True}, "nth must be a whole number"),
        ({"times": -1}, "times must be 0 or more"),
        ({"delay_s": "long"}, "delay_s must be a number"),
        ({"cut_after_bytes": 1.5}, "cut_after_bytes must be a whole number or null"),
        ({"drop": 1}, "drop must be true or false"),
        ({"set": []}, "set must be an object"),
        ({"headers": {"Age": 7}}, "headers must be an object of text or null"),
        ({"headers": {"X": "€"}}, "headers are Latin-1: X"),
        ({"length_errors": 5}, "length_errors must be a list of a whole number"),
        ({"length_errors": [1], "chunk_bytes": 9}, "one framing"),
        ({"swap": "bodies"}, "swap must be 'ids' or 'replies' or null"),
        ({"status": 100}, "from 200 to 599"),
        ({"endpoint": "/participants"}, "unknown endpoint '/participants'; known: /events"),
        ({"cut": 5}, "unknown fields: cut; there are"),
    ],
)
async def test_orders_that_make_no_sense_are_refused_in_words(remote: Remote, fault: dict[str, Any], clue: str) -> None:
    reply = await remote.control("POST", "/faults", fault)
    assert reply.status_code == 400
    assert clue in reply.json()["error"]
    assert remote.sandbox.faults.listing() == []


@pytest.mark.parametrize("preset", [preset.name for preset in PRESETS if not preset.fields.get("swap")])
async def test_the_sandbox_is_well_after_every_fault(remote: Remote, preset: str) -> None:
    order(remote, preset, nth=1)
    async with open_wire(remote) as wire:
        wire.ask()
        while remote.sandbox.faults.listing()[-1]["fired"] == 0:
            await asyncio.sleep(0.005)
    remote.sandbox.faults.clear()
    assert (await remote.get("/participants")).status_code == 200


async def test_a_cut_head_is_20_bytes(remote: Remote) -> None:
    order(remote, "cut_head")
    assert await reply_bytes(remote) == b"HTTP/1.1 200 Reply\r\n"
