"""A listing whose activities are summaries (contracts/revento.md G26): no good value is lost to a field left out."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from syncd.errors import ApiError, ContractBreach, NotFound, PageTooLarge, Transient
from syncd.model import Change, Page
from syncd.sources.revento import SOURCE
from syncd.sources.revento.tables import activities
from syncd.wire.position import Start
from syncd.wire.reply import Reply
from tests.sources.revento import samples
from tests.sources.scripted import INSTALLATION, ScriptedApi, listing, pages_of, reply

LISTING = "/events/{event_id}/activities"
PROGRAM = "/events/{event_id}/program"
ONE = "/events/{event_id}/activities/{activity_id}"
SHORT = ("id", "title", "activity_type", "start_time", "end_time", "status", "updated_at")


def full(number: int, **changes: Any) -> dict[str, Any]:
    return samples.activity(id=f"act_{number}", **changes)


def summary(number: int, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in full(number, **changes).items() if name in SHORT}


def program(*branches: list[dict[str, Any]]) -> Reply:
    return reply({"threads": [{"id": f"thr_{n}", "activities": branch} for n, branch in enumerate(branches)]})


async def walk(*script: Reply | ApiError) -> tuple[list[Page], ScriptedApi]:
    api = ScriptedApi(*script)
    return await pages_of(SOURCE.stream("activities").walk(api, INSTALLATION, Start(), 50)), api


def rows(pages: list[Page]) -> list[Change]:
    return [change for page in pages for change in page.changes]


async def whole(*numbers: int) -> list[Change]:
    """What a listing of full activities would have yielded."""
    pages, _ = await walk(listing([full(number) for number in numbers]))
    return rows(pages)


def content(changes: list[Change]) -> list[Any]:
    return [(change.row, change.version, change.parts, change.unmapped) for change in changes]


async def test_full_activities_cost_no_call_more() -> None:
    _, api = await walk(listing([full(1), full(2, description=None, signed_up_participant_ids=None)]))
    assert [endpoint for endpoint, _ in api.asked] == [LISTING]


async def test_the_program_gives_what_summaries_leave_out() -> None:
    """One call, however many pages."""
    found = program([full(1), full(3)], [full(2)])
    pages, api = await walk(listing([summary(1), summary(2)], "c2", has_more=True), found, listing([summary(3)]))
    assert [endpoint for endpoint, _ in api.asked] == [LISTING, PROGRAM, LISTING]
    assert content(rows(pages)) == content(await whole(1, 2, 3))
    assert {str(change.request_id) for change in rows(pages)} == {found.request_id}, (
        "a row names the call that brought it"
    )
    assert {str(change.request_id) for page in pages for change in page.shared} == {found.request_id}
    assert len(pages) == 2
    assert pages[0].resume_at is not None


async def test_what_the_program_does_not_hold_is_asked_for_alone() -> None:
    """An activity without a thread stands in no branch of it."""
    alone = reply(full(2))
    pages, api = await walk(listing([summary(1), summary(2)]), program([full(1)]), alone)
    assert api.asked[2:] == [(ONE, {"activity_id": "act_2"})]
    assert content(rows(pages)) == content(await whole(1, 2))
    assert str(rows(pages)[1].request_id) == alone.request_id


async def test_a_listing_of_both_kinds_asks_only_for_the_summaries() -> None:
    first = listing([full(1), summary(2)])
    pages, api = await walk(first, program([full(1), full(2)]))
    assert content(rows(pages)) == content(await whole(1, 2))
    assert rows(pages)[0].request_id is None
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        PageTooLarge("too large", status=413, code="payload_too_large"),
        NotFound("none", status=404, code="resource_not_found"),
        ContractBreach("html", code="media_type"),
        reply({"threads": None}),
        reply({"threads": [{"activities": {}}]}),
        reply([]),
    ],
    ids=["too large", "none", "html", "no threads", "no activities", "a list"],
)
async def test_without_a_program_each_activity_is_asked_for(refusal: ApiError | Reply) -> None:
    pages, api = await walk(
        listing([summary(1)], "c2", has_more=True), refusal, reply(full(1)), listing([summary(2)]), reply(full(2))
    )
    assert content(rows(pages)) == content(await whole(1, 2))
    assert [endpoint for endpoint, _ in api.asked] == [LISTING, PROGRAM, ONE, LISTING, ONE], "it is tried once a walk"


async def test_a_program_of_summaries_or_of_older_versions_is_of_no_use() -> None:
    old = full(2, updated_at="2026-01-01T00:00:00Z")
    pages, _ = await walk(listing([summary(1), summary(2)]), program([summary(1), old]), reply(full(1)), reply(full(2)))
    assert content(rows(pages)) == content(await whole(1, 2))


@pytest.mark.fault(43)
async def test_an_activity_that_is_listed_and_unknown_alone_is_rejected() -> None:
    """It is in the books, so that the walk is no witness of its absence."""
    gone = NotFound("none", status=404, code="resource_not_found")
    pages, _ = await walk(listing([summary(1), summary(2)]), program([]), gone, reply(full(2)))
    assert content(rows(pages)) == content(await whole(2))
    (rejected,) = pages[0].rejected
    assert (rejected.path, "knows no such activity" in rejected.reason) == ("$.data[0]", True)


@pytest.mark.fault(17)
async def test_a_program_that_breaks_the_server_is_done_without() -> None:
    outage = Transient("down", status=500, code="internal_error")
    pages, api = await walk(listing([summary(1)]), outage, reply(full(1)))
    assert content(rows(pages)) == content(await whole(1))
    assert [endpoint for endpoint, _ in api.asked] == [LISTING, PROGRAM, ONE]
    with pytest.raises(Transient):
        await walk(listing([summary(1)]), Transient("nobody answers"))


async def test_half_an_activity_is_never_yielded() -> None:
    outage = Transient("down", status=503, code="service_unavailable")
    for script in ([outage, outage], [program([]), outage], [program([]), reply([])], [program([]), reply(full(9))]):
        with pytest.raises((Transient, ContractBreach)):
            await walk(listing([summary(1)]), *script)


async def test_a_field_that_is_sent_nowhere_is_not_looked_for_for_ever() -> None:
    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != "capacity"}

    pages, api = await walk(
        listing([without(full(1)), without(full(2)), without(full(3))]),
        program([without(full(1))]),
        reply(without(full(1))),
        reply(without(full(2))),
    )
    assert [change.row["capacity"] for change in rows(pages)] == [None] * 3
    assert len(api.asked) == 4, "two agree"


def thin(number: int) -> dict[str, Any]:
    return {"id": f"act_{number}", "title": "T"}


@pytest.mark.fault(43)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_thin_reply_costs_its_own_activity_and_no_other(number: int) -> None:
    """It is rejected, so that what is stored of it stays, and the walk is no witness."""
    numbers = (1, 2, 3)
    replies = [reply(thin(n) if n == number else full(n)) for n in numbers]
    pages, _ = await walk(listing([summary(n) for n in numbers]), program([]), *replies)
    assert content(rows(pages)) == content(await whole(*(n for n in numbers if n != number)))
    assert len(pages[0].rejected) == 1


@pytest.mark.fault(43)
async def test_where_every_reply_is_thin_nothing_is_stored() -> None:
    numbers = (1, 2, 3)
    pages, _ = await walk(listing([summary(n) for n in numbers]), program([]), *(reply(thin(n)) for n in numbers))
    assert (rows(pages), len(pages[0].rejected)) == ([], 3)


@pytest.mark.fault(43)
async def test_half_an_activity_is_not_stored_by_a_replay_either() -> None:
    page = SOURCE.stream("activities").reread(reply(thin(1)), INSTALLATION)
    assert (page.changes, len(page.rejected)) == ((), 1)


@pytest.mark.fault(43)
async def test_an_activity_is_gone_by_the_apis_own_word_only() -> None:
    gateway = NotFound("none", status=404, code=None)
    with pytest.raises(NotFound):
        await walk(listing([summary(1)]), program([]), gateway)


async def test_an_activity_that_cannot_be_asked_for_is_rejected() -> None:
    unusable = NotFound("none", code="unusable_id")
    pages, _ = await walk(listing([summary(1), summary(2)]), program([full(2)]), unusable)
    assert (len(rows(pages)), len(pages[0].rejected)) == (1, 1)


async def test_a_summary_that_the_fast_decoder_refuses_is_one_too() -> None:
    body = b'{"data":[{"id":"act_1","title":"\\ud800"}],"has_more":false}'
    pages, _ = await walk(reply(body), program([full(1)]))
    assert content(rows(pages)) == content(await whole(1))


@pytest.mark.parametrize("row", [7, {"id": 7, "title": "T"}, {"title": "T"}, None])
async def test_a_row_without_a_usable_key_is_set_aside_as_ever(row: Any) -> None:
    pages, api = await walk(listing([row]))
    assert (len(pages[0].rejected), len(api.asked)) == (1, 1)


async def test_it_is_said_once_a_walk() -> None:
    with capture_logs() as logs:
        await walk(listing([summary(1)], "c2", has_more=True), program([full(1), full(2)]), listing([summary(2)]))
    assert [entry["log_level"] for entry in logs if entry["event"] == "activities_are_summaries"] == ["warning"]


def test_what_is_demanded_are_columns_or_parts() -> None:
    from syncd.sources.revento import summaries

    parts = {"activity_details", "thread", "location", "co_host_ids", "markers", "registration_waves"}
    assert summaries._DOCUMENTED - parts <= set(activities.columns.keys())
