"""A 200 reply of another shape than its endpoint's is a breach of contract, never an empty listing."""

from __future__ import annotations

import pytest

from syncd.errors import ContractBreach
from syncd.sources.base import Stream
from syncd.sources.revento.streams import STREAMS
from syncd.wire.position import Start
from tests.sources.scripted import INSTALLATION, ScriptedApi, pages_of, reply

NO_SHAPE = [b"", b" ", b"null", b"[]", b"{}", b"7", b'""', b"true", b"<html></html>", b"\xef\xbb\xbf{}", b"{", b"[{}]"]
NO_ROWS = [
    *(b'{"%s":null}', b'{"%s":{}}', b'{"%s":{"id":"a"}}', b'{"%s":"a"}', b'{"%s":7}', b'{"%s":false}'),
    *(b'{"%s":null,"has_more":false}', b'{"%s":{},"has_more":false}', b'{"%s":[]', b'{"%s":[]}x', b'{"%s":[]}{}'),
    b'{"error":"internal_error","message":"m","request_id":"r"}',
]


def bodies(stream: Stream) -> list[bytes]:
    """What the stream's endpoint may not send."""
    rows = {"event": b"id", "locations": b"venues"}.get(stream.name, b"data")
    shapes = [shape.replace(b"%s", rows) for shape in NO_ROWS]
    return NO_SHAPE + [shape for shape in shapes if stream.name != "event" or b'"a"' not in shape]


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("stream", "body"),
    [pytest.param(stream, body, id=f"{stream.name} {body!r}") for stream in STREAMS for body in bodies(stream)],
)
async def test_no_other_shape_is_taken_for_an_answer(stream: Stream, body: bytes) -> None:
    with pytest.raises(ContractBreach):
        await pages_of(stream.walk(ScriptedApi(reply(body)), INSTALLATION, Start(), 50))


@pytest.mark.fault(5)
@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
async def test_no_cut_of_a_body_is_taken_for_all_of_it(stream: Stream) -> None:
    """Where the end is the close of the connection, nothing but the document tells a cut."""
    whole = {
        "event": b'{"id":"evt_abc123","title":"T"}',
        "locations": b'{"venues":[{"id":"v","buildings":[],"locations":[]}]}',
        "activities": b'{"data":[],"next_cursor":"c","has_more":false}',
    }.get(stream.name, b'{"data":[{"id":"a","name":"n"},{"id":"b"}],"has_more":false}')
    assert len(await pages_of(stream.walk(ScriptedApi(reply(whole)), INSTALLATION, Start(), 50))) == 1
    for end in range(len(whole)):
        with pytest.raises(ContractBreach):
            await pages_of(stream.walk(ScriptedApi(reply(whole[:end])), INSTALLATION, Start(), 50))
