"""What a failure of one stream means for it and for the streams behind it."""

from __future__ import annotations

import pytest

from syncd.errors import ApiError, ConfigError, NeedsAuthorization, RefreshFailed, SyncdError
from syncd.sources.revento import SOURCE
from syncd.store.runs import StreamResult
from syncd.sync.installation import try_stream
from tests.store.conftest import installation

STREAM = SOURCE.streams[0]


@pytest.mark.parametrize("error", [ConfigError("no key"), NeedsAuthorization("no consent"), RefreshFailed("no reply")])
async def test_a_refusal_that_no_reply_brought_stops_the_streams_behind_it(error: SyncdError) -> None:
    async def fail() -> StreamResult:
        raise error

    granted = installation("revento/evt_1")
    for work, before in ((fail, None), (unasked, error)):
        result, refusal = await try_stream(STREAM, granted, before, work)
        assert refusal is error
        assert result == StreamResult(STREAM.name, "failed", str(error), exit_code=error.exit_code)


async def test_an_error_of_the_api_is_told_with_its_request_and_stops_no_other_stream() -> None:
    request_id = "01890a5d-ac96-774b-bcce-b302099a8057"

    async def fail() -> StreamResult:
        raise ApiError("odd", code="server_error", request_id=request_id, hint="wait")

    result, refusal = await try_stream(STREAM, installation("revento/evt_1"), None, fail)
    assert refusal is None
    told = (result.status, result.reason, str(result.request_id), result.error_code, result.hint)
    assert told == ("failed", "odd", request_id, "server_error", "wait")


async def unasked() -> StreamResult:
    raise AssertionError("it is not begun")
