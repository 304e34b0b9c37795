"""A participant's application and profile: what their replies come to, and what is no answer at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.errors import ApiError, ContractBreach, NotFound, ScopeMissing
from syncd.model import Page
from syncd.sources.base import Stream
from syncd.sources.revento import USER_SOURCE
from syncd.sources.revento.tables import user_applications, user_profiles
from syncd.wire.position import Start
from tests.sources.revento import samples
from tests.sources.revento.test_shapes import NO_SHAPE
from tests.sources.scripted import INSTALLATION as EVENTS
from tests.sources.scripted import ScriptedApi, pages_of, reply

INSTALLATION = replace(EVENTS, name="revento-user/evt_abc123/usr_def456", account="evt_abc123/usr_def456")
IDS = {"event_id": "evt_abc123", "user_id": "usr_def456"}
APPLICATION, PROFILE = (USER_SOURCE.stream(name) for name in ("application", "profile"))
BOTH = pytest.mark.parametrize("stream", USER_SOURCE.streams, ids=lambda stream: stream.name)
WHOLE = {"application": samples.application, "profile": samples.profile}


async def read(stream: Stream, body: Any) -> Page:
    """The only page of the walk."""
    api = ScriptedApi(body if isinstance(body, ApiError) else reply(body))
    (page,) = await pages_of(stream.walk(api, INSTALLATION, Start(), 50))
    assert api.asked == [(f"/me/{stream.name}", {})]
    assert page.resume_at is None
    return page


async def test_the_sample_of_an_application() -> None:
    (change,) = (await read(APPLICATION, samples.application(new_field=1))).changes
    assert (change.table, change.version, change.is_gone) == (user_applications, None, False)
    assert change.row == IDS | {
        "application_id": "app_xyz",
        "status": "approved",
        "submitted_at": datetime(2026, 4, 29, 14, tzinfo=UTC),
        "last_reviewed_at": datetime(2026, 5, 2, 9, 14, tzinfo=UTC),
        "last_review_action": "approved",
        "withdrawn_at": None,
    }
    assert change.unmapped == {"new_field": 1}


async def test_the_sample_of_a_profile() -> None:
    (change,) = (await read(PROFILE, samples.profile(theme="dark"))).changes
    shown = {"display_name": "Sample Name", "email": "sample@example.com", "locale": "pl"}
    assert (change.table, change.row, change.unmapped) == (user_profiles, IDS | shown, {"theme": "dark"})


async def test_a_field_of_ours_in_the_reply_is_kept_apart() -> None:
    (change,) = (await read(APPLICATION, samples.application(withdrawn_at="2026-05-02T09:14:00Z"))).changes
    assert change.row["withdrawn_at"] is None
    assert change.unmapped == {"withdrawn_at": "2026-05-02T09:14:00Z"}


@BOTH
async def test_that_there_is_none_is_a_state(stream: Stream) -> None:
    said = NotFound("no", status=404, code="resource_not_found", request_id="00000000-0000-0000-0000-000000000007")
    page = await read(stream, said)
    (change,) = page.changes
    assert (change.row, change.is_gone, page.request_id.int) == (IDS, True, 7)


@BOTH
@pytest.mark.parametrize("code", [None, "not_found", "unreadable_code"])
async def test_another_404_is_a_failure(stream: Stream, code: str | None) -> None:
    with pytest.raises(NotFound):
        await read(stream, NotFound("no", status=404, code=code, request_id="00000000-0000-0000-0000-000000000007"))


@pytest.mark.parametrize("email", [samples.ABSENT, None])
async def test_a_profile_without_an_email_was_declined(email: object) -> None:
    """contracts/revento.md G28"""
    with pytest.raises(ScopeMissing) as error:
        await read(PROFILE, samples.profile(email=email))
    assert (error.value.status, error.value.code) == (200, "email_missing")
    assert error.value.request_id


async def test_an_email_that_cannot_be_stored_was_not_declined() -> None:
    page = await read(PROFILE, samples.profile(email=7))
    assert page.changes[0].row["email"] is None
    assert [bad.path for bad in page.bad_values] == ["$.email"]
    (kept,) = page.left_out
    again = PROFILE.reread(reply(kept.raw), INSTALLATION)
    assert (again.changes, again.bad_values) == (page.changes, page.bad_values)


@pytest.mark.fault(33)
@BOTH
@pytest.mark.parametrize("name", IDS)
async def test_another_person_or_event_is_a_breach(stream: Stream, name: str) -> None:
    with pytest.raises(ContractBreach, match="the one that the token was given for"):
        await read(stream, WHOLE[stream.name](**{name: "another"}))


@pytest.mark.fault(11)
@BOTH
@pytest.mark.parametrize("body", [*NO_SHAPE, b'{"error":"internal_error","message":"m","request_id":"r"}'])
async def test_no_other_shape_is_taken_for_an_answer(stream: Stream, body: bytes) -> None:
    with pytest.raises(ContractBreach):
        await read(stream, body)


@pytest.mark.fault(5)
@BOTH
async def test_no_cut_of_a_body_is_taken_for_all_of_it(stream: Stream) -> None:
    whole = json.dumps(WHOLE[stream.name]()).encode()
    assert len((await read(stream, whole)).changes) == 1
    for end in range(len(whole)):
        with pytest.raises(ContractBreach):
            await read(stream, whole[:end])


@BOTH
async def test_what_is_not_there_is_no_value(stream: Stream) -> None:
    own = {"application": "id", "profile": "user_id"}[stream.name]
    for name in WHOLE[stream.name]().keys() - {own, "email", "event_id"}:
        for value in (samples.ABSENT, None):
            (change,) = (await read(stream, WHOLE[stream.name](**{name: value}))).changes
            assert change.row[name] is None
    with pytest.raises(ContractBreach, match=own):
        await read(stream, WHOLE[stream.name](**{own: samples.ABSENT}))
