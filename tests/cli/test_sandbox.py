"""`syncd sandbox` as a test double: what it says of itself, and what can be chosen at its start."""

from __future__ import annotations

import json
import re
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from syncd.cli import syncd as root
from syncd.cli.sandbox import EXAMPLE
from syncd.cli.session import Session
from syncd.sandbox import GAPS, ORDERS, SandboxSettings
from syncd.sandbox.world import World
from tests.cli.conftest import Syncd


def said(*arguments: str) -> str:
    """What the command writes, in this process."""
    ended = CliRunner().invoke(root, ["sandbox", *arguments], obj=Session())
    assert ended.exit_code == 0
    return ended.stdout


def test_all_gaps_and_readings_are_listed() -> None:
    text, document = said("--gaps"), json.loads(said("--gaps", "--json"))
    assert [(gap["id"], gap["question"], gap["default"]) for gap in document] == [
        (gap.id, gap.question, gap.default) for gap in GAPS
    ]
    assert [gap["readings"] for gap in document] == [dict(gap.readings) for gap in GAPS]
    for gap in GAPS:
        assert re.search(rf"^{gap.id} +{re.escape(gap.question)}$", text, re.MULTILINE)
        assert f"     {gap.default} * " in text
        assert all(meaning in text for meaning in gap.readings.values())


def test_all_that_the_control_port_can_do_is_listed() -> None:
    text, document = said("--control"), json.loads(said("--control", "--json"))
    assert [(order["method"], order["path"]) for order in document["requests"]] == [
        (order.method, order.path) for order in ORDERS
    ]
    for order in ORDERS:
        assert f"{order.method} {order.path}" in text
        assert order.body in text
        assert order.reply in text
    assert "registration-waves" in text
    assert "cut_after_bytes" in text
    assert "cut_after_bytes" in document["faults"]


def test_the_example_names_an_event_that_there_is() -> None:
    (event_id,) = re.findall(r"EVENT=(\w+)", EXAMPLE)
    assert event_id == next(iter(World(SandboxSettings(participants=0, activities=0), str).events))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("G3=grand", "gap G3 has no reading 'grand'; it has grant, token"),
        ("G99=x", "no gap 'G99'; there are G1, G2, "),
        ("G3", "'G3' is not like G3=token"),
        ("=token", "'=token' is not like G3=token"),
    ],
)
def test_what_is_no_reading_is_told_in_a_sentence(syncd: Syncd, given: str, says: str) -> None:
    ended = syncd("sandbox", "--gap", given)
    assert (ended.exit_code, ended.out) == (2, "")
    assert says in ended.err
    assert "hint: " in ended.err


def test_what_is_chosen_at_the_start_is_in_force(syncd: Syncd) -> None:
    choices = (
        "--gap",
        "G3=token",
        "--gap",
        "G25=hidden",
        "--deny",
        "--suspend-after",
        "5",
        "--redirect-uri",
        "https://x/y",
    )
    process = syncd.start("sandbox", "--json", "--events", "1", "--participants", "1", "--activities", "1", *choices)
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    assert document["integration_id"] == "int_sandbox"
    settings = _get(f"{document['control_url']}/settings")
    readings = {gap.id: gap.default for gap in GAPS} | {"G3": "token", "G25": "hidden"}
    assert settings["gaps"] == readings
    assert (settings["consent"], settings["suspend_after_429s"]) == ("deny", 5)
    assert settings["redirect_uris"] == ["https://x/y"]
    assert settings["scopes"] == ["event.read", "participants.read", "program.read"]


def _get(url: str) -> dict[str, object]:
    with urlopen(Request(url), timeout=10) as reply:
        document: dict[str, object] = json.load(reply)
        return document
