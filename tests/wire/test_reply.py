"""The shapes of a reply: a listing that does not keep the contract is never the end of a walk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import ContractBreach
from syncd.wire.readers import BadValue, parse_row
from syncd.wire.reply import MOST_ROWS, MOST_VALUES, read_error_code, read_listing, read_media_type, read_object
from tests.sources.scripted import reply


@pytest.mark.fault(23)
def test_only_has_more_says_that_more_follows() -> None:
    listing = read_listing(reply({"data": [1], "next_cursor": "c", "has_more": False}), paged=True)
    assert (listing.has_more, len(listing.data)) == (False, 1)


@pytest.mark.case("RV-04")
@pytest.mark.fault(24)
def test_a_listing_that_is_not_paged_need_not_say_it() -> None:
    assert len(read_listing(reply({"data": [{}, {}]}), paged=False).data) == 2
    with pytest.raises(ContractBreach, match=r"\$\.has_more is missing"):
        read_listing(reply({"data": []}), paged=True)


@pytest.mark.fault(22)
@pytest.mark.parametrize("cursor", [{}, {"next_cursor": None}, {"next_cursor": ""}])
@pytest.mark.parametrize("paged", [True, False])
def test_more_without_a_way_to_it_is_a_breach(cursor: dict[str, Any], paged: bool) -> None:
    with pytest.raises(ContractBreach, match="next_cursor is empty"):
        read_listing(reply({"data": [], "has_more": True, **cursor}), paged=paged)


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"{}", b"7", b'{"data":null,"has_more":false}', b'{"data":{},"has_more":false}'),
        *(b'{"data":[],"has_more":"no"}', b'{"data":[],"has_more":null}', b'{"data":[],"has_more":0}'),
        *(b'{"data":[],"has_more":false', b'{"data":[],"has_more":false}x', b"<html>", b"\xff\xfe"),
        *(b'{"data":[' + b"[" * 200_000, b'{"has_more":false}'),
    ],
)
def test_what_is_no_listing_is_a_breach(body: bytes) -> None:
    with pytest.raises(ContractBreach) as refusal:
        read_listing(reply(body), paged=True)
    assert refusal.value.code == "contract_breach"


@pytest.mark.fault(5)
def test_every_cut_of_a_page_is_noticed() -> None:
    """An end that is the close of the connection hides a cut; the document does not."""
    body = json.dumps({"data": [{"id": "ptp_1", "name": "Ćma"}], "next_cursor": "c", "has_more": True}).encode()
    assert read_listing(reply(body), paged=True).has_more is True
    for end in range(len(body)):
        with pytest.raises(ContractBreach):
            read_listing(reply(body[:end]), paged=True)


@given(st.binary(max_size=200))
def test_no_body_makes_the_readers_raise_anything_else(body: bytes) -> None:
    for read in (lambda it: read_listing(it, paged=True), read_object):
        try:
            read(reply(body))
        except ContractBreach:
            continue
    read_error_code(body)


@pytest.mark.fault(70)
def test_a_row_with_a_lone_surrogate_costs_no_other_row() -> None:
    body = b'{"data":[{"id":"a"},{"id":"b","name":"\\ud800"},{"id":"c"}],"has_more":false}'
    rows = read_listing(reply(body), paged=True).data
    assert [json.loads(bytes(row))["id"] for row in rows] == ["a", "b", "c"]


@pytest.mark.fault(72)
@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 5000])
def test_a_number_that_nothing_holds_costs_its_value_alone(constant: bytes) -> None:
    body = b'{"data":[{"id":"a"},{"id":"b","x":' + constant + b',"y":1}],"has_more":false}'
    rows = read_listing(reply(body), paged=True).data
    bad: list[BadValue] = []
    fields = parse_row(rows[1], "$.data[1]", bad)
    assert (fields.id(), fields.whole("x"), fields.whole("y")) == ("b", None, 1)
    assert [(one.path, one.raw) for one in bad] == [("$.data['b'].x", json.dumps(constant.decode()))]
    assert parse_row(rows[0], "$.data[0]", bad).id() == "a"


@pytest.mark.fault(74)
def test_an_integer_of_any_length_costs_its_value_alone_even_beside_a_surrogate() -> None:
    """Such a page is read by the slow decoder, which has limits of its own."""
    body = b'{"data":[{"id":"\\ud800"},{"id":"b","x":-' + b"9" * 5000 + b',"y":1}],"has_more":false}'
    bad: list[BadValue] = []
    fields = parse_row(read_listing(reply(body), paged=True).data[1], "$.data[1]", bad)
    assert (fields.id(), fields.whole("x"), fields.whole("y"), len(bad)) == ("b", None, 1, 1)


@pytest.mark.fault(74)
def test_what_holds_too_much_is_a_breach_before_it_is_built() -> None:
    rows = b'{"data":[' + b",".join([b"{}"] * MOST_ROWS) + b'],"has_more":false}'
    assert len(read_listing(reply(rows), paged=True).data) == MOST_ROWS
    with pytest.raises(ContractBreach, match="rows"):
        read_listing(reply(rows.replace(b"[", b"[1,")), paged=True)
    most = b'{"id":"a","x":[' + b",".join([b"1"] * (MOST_VALUES - 2)) + b"]}"
    assert read_object(reply(most))
    with pytest.raises(ContractBreach, match="values"):
        read_object(reply(most.replace(b"[", b"[1,")))
    with pytest.raises(ContractBreach, match="values"):
        read_listing(reply(b'{"data":[' + most + b"]}"), paged=False)
    assert read_object(reply(b'{"id":"a","x":"' + b"," * MOST_VALUES + b'"}')), "text is one value"


@pytest.mark.fault(74)
@pytest.mark.parametrize("code", [b"x", b"token_expired"])
def test_an_error_nested_without_end_is_no_envelope(code: bytes) -> None:
    assert read_error_code(b'{"error":"' + code + b'","x":' + b"[" * 50_000) is None


def test_an_object() -> None:
    assert bytes(read_object(reply({"id": "evt"}))) == b'{"id": "evt"}'
    with pytest.raises(ContractBreach):
        read_object(reply([]))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":"token_expired","message":"m","request_id":"r","more":1}', "token_expired"),
        (b'{"error":"x"}', "x"),
        (b"<html>502</html>", None),
        (b"", None),
        (b'{"error":7}', None),
        (b'{"message":"m"}', None),
        (b"\xff", None),
    ],
)
def test_errors(body: bytes, code: str | None) -> None:
    assert read_error_code(body) == code


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("application/vnd.revento.v1+json; charset=utf-8", "application/vnd.revento.v1+json"),
        ("Application/JSON", "application/json"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_media_type(header: str | None, media_type: str) -> None:
    assert read_media_type({} if header is None else {"content-type": header}) == media_type
