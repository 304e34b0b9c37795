"""Walks against a scripted API: what is asked, what is yielded, where a crash resumes, what fails."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.errors import (
    ApiError,
    ContractBreach,
    CursorRefused,
    NotFound,
    PageTooLarge,
    RateLimited,
    ScopeMissing,
    TokenRefused,
    Transient,
)
from syncd.sources.revento import SOURCE
from syncd.wire.position import CursorAt, Position, Start
from syncd.wire.reply import Reply
from tests.sources.revento import samples
from tests.sources.scripted import EVENT_ID, INSTALLATION, NOW, ScriptedApi, listing, pages_of, reply

PARTICIPANTS = "/events/{event_id}/participants"


async def walk(stream: str, api: ScriptedApi, position: Position | None = None, page_size: int = 50) -> list[Any]:
    return await pages_of(SOURCE.stream(stream).walk(api, INSTALLATION, position or Start(), page_size))


def people(*numbers: int) -> list[dict[str, Any]]:
    return [samples.participant(id=f"ptp_{number}") for number in numbers]


def ids(pages: list[Any]) -> list[str]:
    return [change.row["participant_id"] for page in pages for change in page.changes]


def too_large() -> PageTooLarge:
    return PageTooLarge("too large", status=413, code="payload_too_large")


@pytest.mark.case("RV-01")
@pytest.mark.fault(23)
async def test_final_page_ends_the_walk_although_it_has_a_cursor() -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), listing(people(2), "phantom"))
    pages = await walk("participants", api)
    assert ids(pages) == ["ptp_1", "ptp_2"]
    assert api.queries == [{"limit": 50}, {"limit": 50, "cursor": "c2"}]
    assert pages[-1].resume_at is None


async def test_a_page_says_where_a_crash_resumes() -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), listing(people(2)))
    first, last = await walk("participants", api, page_size=10)
    assert first.resume_at == CursorAt("c2", NOW, PARTICIPANTS, 10, str(INSTALLATION.grant_id))
    assert (first.limit, last.resume_at, last.limit) == (10, None, 10)


async def test_resuming_asks_with_the_saved_cursor_and_limit() -> None:
    api = ScriptedApi(listing(people(2), "c3", has_more=True), listing(people(3)))
    pages = await walk("participants", api, CursorAt("c2", NOW, PARTICIPANTS, 12, str(INSTALLATION.grant_id)))
    assert ids(pages) == ["ptp_2", "ptp_3"]
    assert api.queries == [{"limit": 12, "cursor": "c2"}, {"limit": 12, "cursor": "c3"}]


async def test_a_cursor_of_another_listing_is_never_sent() -> None:
    api = ScriptedApi(listing(people(1)))
    await walk("participants", api, CursorAt("c2", NOW, "/events/{event_id}/activities", 12, "g"))
    assert api.queries == [{"limit": 12}]


@pytest.mark.parametrize(
    ("position", "page_size", "first_limit"),
    [(Start(), 25, 25), (Start(), 500, 50), (Start(limit=6), 50, 6), (Start(limit=50), 10, 10)],
)
async def test_first_page_size(position: Position, page_size: int, first_limit: int) -> None:
    api = ScriptedApi(listing([]))
    await walk("participants", api, position, page_size)
    assert api.queries == [{"limit": first_limit}]


@pytest.mark.case("RV-02")
@pytest.mark.fault(27)
async def test_empty_middle_page_is_no_end() -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), listing([], "c3", has_more=True), listing(people(2)))
    assert ids(await walk("participants", api)) == ["ptp_1", "ptp_2"]


@pytest.mark.fault(27)
@pytest.mark.parametrize(("empty", "ends_well"), [(20, True), (21, False)])
async def test_empty_pages_are_bounded(empty: int, ends_well: bool) -> None:
    script = [listing([], f"c{number}", has_more=True) for number in range(empty)]
    api = ScriptedApi(*script, listing(people(1)))
    if ends_well:
        assert ids(await walk("participants", api)) == ["ptp_1"]
    else:
        with pytest.raises(ContractBreach, match="nothing new"):
            await walk("participants", api)


@pytest.mark.case("RV-03")
@pytest.mark.fault(22)
@pytest.mark.parametrize("cursor", [None, "", samples.ABSENT])
async def test_more_without_a_cursor_is_a_breach(cursor: Any) -> None:
    body = {"data": people(2), "has_more": True} | ({} if cursor is samples.ABSENT else {"next_cursor": cursor})
    api = ScriptedApi(listing(people(1), "c2", has_more=True), reply(body))
    with pytest.raises(ContractBreach, match="next_cursor"):
        await walk("participants", api)


@pytest.mark.case("RV-04")
@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("stream", "row", "key"),
    [
        ("roles", samples.role(), "role_id"),
        ("threads", samples.thread(), "thread_id"),
        ("waves", samples.wave(), "wave_id"),
    ],
)
async def test_listing_without_has_more_is_complete(stream: str, row: dict[str, Any], key: str) -> None:
    api = ScriptedApi(reply({"data": [row]}))
    (page,) = await walk(stream, api)
    assert [change.row[key] for change in page.changes] == [row["id"]]
    assert (page.resume_at, page.limit, api.queries) == (None, None, [{}])


@pytest.mark.fault(24)
async def test_unpaged_listing_that_says_has_more_is_followed() -> None:
    api = ScriptedApi(listing([samples.role(id="a")], "c2", has_more=True), reply({"data": [samples.role(id="b")]}))
    pages = await walk("roles", api)
    assert [change.row["role_id"] for page in pages for change in page.changes] == ["a", "b"]
    assert api.queries == [{}, {"cursor": "c2"}]


@pytest.mark.fault(24)
async def test_paged_listing_without_has_more_is_a_breach() -> None:
    with pytest.raises(ContractBreach, match="has_more"):
        await walk("participants", ScriptedApi(reply({"data": people(1)})))


@pytest.mark.case("RV-05")
@pytest.mark.fault(32)
@pytest.mark.parametrize(
    "error",
    [
        CursorRefused("x", status=400, code="invalid_cursor"),
        ContractBreach("x", status=403, code="cursor_expired"),
        ContractBreach("x", status=409, code="cursor_expired"),
    ],
)
async def test_a_refusal_that_names_the_cursor_is_a_refused_cursor(error: ApiError) -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), error)
    with pytest.raises(CursorRefused) as refused:
        await walk("participants", api, page_size=25)
    assert (refused.value.limit, refused.value.status, refused.value.code) == (25, error.status, error.code)


REFUSALS = [
    ContractBreach("x", status=400, code="invalid_request"),
    NotFound("x", status=404, code="resource_not_found"),
    Transient("x", status=408),
    *(ContractBreach("x", status=status) for status in (405, 409, 410, 412, 422, 428, 451)),
]


@pytest.mark.case("RV-05")
@pytest.mark.fault(32)
@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.status)
@pytest.mark.parametrize("first_page", [listing(people(1)), too_large()], ids=["served", "too large"])
async def test_a_refusal_is_the_cursors_where_the_first_page_is_served(
    error: ApiError, first_page: Reply | ApiError
) -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), error, first_page)
    with pytest.raises(CursorRefused) as refused:
        await walk("participants", api, page_size=25)
    assert (refused.value.limit, refused.value.status, refused.value.code) == (25, error.status, error.code)
    assert api.queries[1:] == [{"limit": 25, "cursor": "c2"}, {"limit": 25}]


@pytest.mark.fault(32)
@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.status)
async def test_a_refusal_is_not_the_cursors_where_the_first_page_is_refused_too(error: ApiError) -> None:
    """Everything is refused for a while: the walk stands, and goes on where it was."""
    api = ScriptedApi(listing(people(1), "c2", has_more=True), error, NotFound("x", status=404))
    with pytest.raises(type(error)) as raised:
        await walk("participants", api)
    assert raised.value is error


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    "told",
    [TokenRefused("x", status=401, code="token_revoked"), RateLimited("x", status=429)],
    ids=lambda it: it.status,
)
async def test_what_the_first_page_is_refused_for_counts_where_it_is_plain(told: ApiError) -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), NotFound("x", status=404), told)
    with pytest.raises(type(told)):
        await walk("participants", api)


@pytest.mark.fault(32)
@pytest.mark.parametrize("error", [ContractBreach("x", status=400), NotFound("x", status=404)])
async def test_refusal_of_a_call_without_a_cursor_is_itself(error: ApiError) -> None:
    with pytest.raises(type(error)) as raised:
        await walk("participants", ScriptedApi(error))
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("x", status=429),
        ScopeMissing("x", status=403),
        ContractBreach("x", status=200),
        Transient("x", status=503),
        Transient("no reply"),
    ],
)
async def test_other_errors_say_nothing_of_the_cursor(error: ApiError) -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), error)
    with pytest.raises(type(error)) as raised:
        await walk("participants", api)
    assert raised.value is error


@pytest.mark.case("RV-06")
@pytest.mark.fault(20)
async def test_page_too_large_shrinks_and_keeps_the_cursor() -> None:
    api = ScriptedApi(
        listing(people(1), "c2", has_more=True),
        too_large(),
        listing(people(2), "c3", has_more=True),
        listing(people(3)),
    )
    pages = await walk("participants", api)
    assert ids(pages) == ["ptp_1", "ptp_2", "ptp_3"]
    assert api.queries == [
        {"limit": 50},
        {"limit": 50, "cursor": "c2"},
        {"limit": 25, "cursor": "c2"},
        {"limit": 25, "cursor": "c3"},
    ]
    assert [page.limit for page in pages] == [50, 25, 25]
    assert pages[1].resume_at.limit == 25


@pytest.mark.case("RV-07")
@pytest.mark.fault(20)
async def test_refused_cursor_after_shrinking_names_the_limit_to_restart_with() -> None:
    api = ScriptedApi(
        listing(people(1), "c2", has_more=True), too_large(), CursorRefused("x", status=400, code="invalid_cursor")
    )
    with pytest.raises(CursorRefused) as refused:
        await walk("participants", api)
    assert refused.value.limit == 25
    restarted = ScriptedApi(listing(people(1, 2)))
    assert ids(await walk("participants", restarted, Start(limit=refused.value.limit))) == ["ptp_1", "ptp_2"]
    assert restarted.queries == [{"limit": 25}]


@pytest.mark.case("RV-08")
@pytest.mark.fault(21)
async def test_row_that_fits_no_page_ends_the_walk_with_a_clear_error() -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True), *(too_large() for _ in range(6)))
    with pytest.raises(PageTooLarge, match="cannot be read") as raised:
        await walk("participants", api)
    assert [query["limit"] for query in api.queries[1:]] == [50, 25, 12, 6, 3, 1]
    assert {query["cursor"] for query in api.queries[1:]} == {"c2"}
    assert raised.value.code == "payload_too_large"


async def test_unpaged_reply_that_is_too_large_is_not_repeated() -> None:
    api = ScriptedApi(too_large())
    with pytest.raises(PageTooLarge):
        await walk("roles", api)
    assert api.queries == [{}]


def circle(length: int) -> list[Reply]:
    """Pages whose cursors lead from one to the next, and from the last to the first."""
    cursors = [f"c{number}" for number in range(length)]
    return [listing(people(number), cursor, has_more=True) for number, cursor in enumerate([*cursors, cursors[0]])]


@pytest.mark.fault(25)
@pytest.mark.parametrize("length", [1, 2, 3, 7])
async def test_cursor_loop_is_a_breach(length: int) -> None:
    api = ScriptedApi(*circle(length))
    with pytest.raises(ContractBreach, match="cursor loop"):
        await walk("participants", api)
    assert len(api.asked) == length + 1


@pytest.mark.fault(25)
async def test_cursor_that_leads_back_to_where_the_walk_resumed_is_a_loop() -> None:
    api = ScriptedApi(listing(people(1), "c2", has_more=True))
    with pytest.raises(ContractBreach, match="cursor loop"):
        await walk("participants", api, CursorAt("c2", NOW, PARTICIPANTS, 50, "g"))


@pytest.mark.fault(25)
@pytest.mark.parametrize("length", [1, 3])
async def test_same_pages_under_ever_new_cursors_are_a_breach(length: int) -> None:
    script = [listing(people(number % length), f"c{number}", has_more=True) for number in range(40)]
    api = ScriptedApi(*script)
    with pytest.raises(ContractBreach, match="nothing new"):
        await walk("participants", api)
    assert len(api.asked) == length + 21


@pytest.mark.fault(26)
async def test_repeated_page_is_passed_on() -> None:
    api = ScriptedApi(
        listing(people(1), "c2", has_more=True), listing(people(1), "c3", has_more=True), listing(people(2))
    )
    assert ids(await walk("participants", api)) == ["ptp_1", "ptp_1", "ptp_2"]


@pytest.mark.fault(79)
async def test_poison_rows_are_set_aside_whole_and_the_rest_is_kept() -> None:
    rows = [*people(1), samples.participant(id=None), "no object", samples.participant(id="ptp_2", privacy_mode="?")]
    (page,) = await walk("participants", ScriptedApi(listing(rows)))
    assert ids([page]) == ["ptp_1", "ptp_2"]
    assert [(bad.path, bad.reason) for bad in page.rejected] == [
        ("$.data[1].id", "not an identifier"),
        ("$.data[2]", "not an object"),
    ]
    assert '"email":"sample@example.com"' in page.rejected[0].raw
    assert [(bad.path, bad.raw) for bad in page.bad_values] == [("$.data['ptp_2'].privacy_mode", '"?"')]


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("stream", "row"),
    [
        ("participants", samples.participant(event_id="evt_other")),
        ("activities", samples.activity(event_id="evt_other")),
        ("roles", samples.role(event_id="evt_other")),
    ],
)
async def test_row_of_another_event_is_a_breach(stream: str, row: dict[str, Any]) -> None:
    with pytest.raises(ContractBreach, match="another event"):
        await walk(stream, ScriptedApi(listing([row])))


@pytest.mark.fault(33)
async def test_place_of_another_event_is_a_breach() -> None:
    tree = {"venues": [samples.venue(locations=[samples.location(event_id="evt_other")])]}
    with pytest.raises(ContractBreach, match=r"\$\.venues\[0\]\.locations\[0\]\.event_id"):
        await walk("locations", ScriptedApi(reply(tree)))


async def test_row_that_names_our_event_is_ours() -> None:
    (page,) = await walk("participants", ScriptedApi(listing([samples.participant(event_id=EVENT_ID)])))
    assert page.changes[0].unmapped == {}


async def test_event_is_one_page() -> None:
    api = ScriptedApi(reply(samples.event()))
    (page,) = await walk("event", api)
    (change,) = page.changes
    assert change.row["event_id"] == EVENT_ID
    assert change.row["timezone"] == "Europe/Warsaw"
    assert api.asked == [("/events/{event_id}", {})]


@pytest.mark.fault(33)
@pytest.mark.parametrize("event_id", ["evt_other", None, samples.ABSENT, 7])
async def test_event_that_is_not_ours_is_a_breach(event_id: Any) -> None:
    with pytest.raises(ContractBreach):
        await walk("event", ScriptedApi(reply(samples.event(id=event_id))))


@pytest.mark.fault(11)
@pytest.mark.parametrize("stream", [stream.name for stream in SOURCE.streams])
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"data":null,"venues":null}', b'{"data":{}}'])
async def test_reply_of_another_shape_is_never_an_empty_listing(stream: str, body: bytes) -> None:
    with pytest.raises(ContractBreach) as raised:
        await walk(stream, ScriptedApi(reply(body)))
    assert raised.value.request_id


async def test_venue_graph_is_one_page() -> None:
    api = ScriptedApi(reply({"venues": [samples.venue()]}))
    (page,) = await walk("locations", api)
    assert [change.table.name for change in page.changes] == ["venues", "buildings", "floors", "locations"]
    assert (page.resume_at, api.asked) == (None, [("/events/{event_id}/locations", {})])
