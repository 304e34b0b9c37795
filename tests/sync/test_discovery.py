"""The source's listing of connections beside ours: each difference with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd import main
from syncd.errors import ConfigError, ContractBreach
from syncd.model import InstallationState
from syncd.sources.base import Connection
from syncd.sync.discovery import discover
from tests.harness import UNLIMITED, Bench, OpenBench
from tests.sources.scripted import INSTALLATION

SCOPES = ("event.read", "participants.read")
OURS = replace(INSTALLATION, name="revento/evt_1", account="evt_1", scopes=SCOPES)


@pytest.mark.parametrize(
    ("listed", "state", "says"),
    [
        ([("active", SCOPES)], "active", None),
        ([("active", SCOPES)], "paused", None),
        ([("active", ())], "active", None),
        ([("revoked", SCOPES), ("active", SCOPES)], "active", None),
        ([("suspended", SCOPES)], "suspended", None),
        ([("a new word", SCOPES)], "active", None),
        ([], "active", "does not list it"),
        ([("revoked", SCOPES)], "active", "has disconnected it"),
        ([("active", SCOPES)], "needs_consent", "no longer good"),
        ([("active", SCOPES)], "suspended", "is over"),
        ([("suspended", SCOPES)], "active", "its next call will find that out"),
        ([("suspended", SCOPES)], "paused", None),
        ([("suspended", SCOPES)], "needs_consent", "when that is over"),
        ([("revoked", SCOPES)], "needs_consent", "has disconnected it"),
        ([("active", (*SCOPES, "program.read"))], "active", "lack program.read"),
        ([("active", SCOPES[:1])], "active", "participants.read is no longer granted"),
    ],
)  # fmt: skip
def test_what_is_here(listed: list[tuple[str, tuple[str, ...]]], state: InstallationState, says: str | None) -> None:
    connections = [Connection("evt_1", *each) for each in listed]
    (found,) = discover(connections, [replace(OURS, state=state)])
    assert (found.installation, found.state) == ("revento/evt_1", state)
    assert found.advice is None if says is None else says in str(found.advice)


def test_what_is_there_alone() -> None:
    connections = [Connection(f"evt_{status}", status, SCOPES) for status in ("active", "revoked", "suspended")]
    found = discover(connections, [])
    assert [(one.account, one.advice) for one in found] == [
        ("evt_active", "connect it: `syncd connect revento evt_active`"),
        ("evt_suspended", None),
    ]


async def test_the_listing_itself(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__INTEGRATION_ID": "int_sandbox"}, developer_limits=UNLIMITED, events=3)
    await bench.add(bench.sandbox.event_ids[0])
    bench.sandbox.connect(bench.sandbox.event_ids[1])
    found = {one.account: one for one in await main.discovered(bench.app)}
    assert set(found) == set(bench.sandbox.event_ids[:2])
    assert found[bench.sandbox.event_ids[0]].advice is None
    assert "syncd connect revento" in str(found[bench.sandbox.event_ids[1]].advice)
    bench.sandbox.tokens.revoke_event(bench.event_id)
    assert "has disconnected it" in str({one.account: one for one in await main.discovered(bench.app)}[bench.event_id])


async def test_in_a_rotation_either_client_secret_opens_the_listing(open_bench: OpenBench) -> None:
    environ = {"REVENTO__INTEGRATION_ID": "int_sandbox", "REVENTO__NEXT_CLIENT_SECRET": "the next one"}
    bench = await open_bench(environ, developer_limits=UNLIMITED)
    await bench.add()
    await bench.sandbox.configure(client_secret="the next one")
    assert len(await main.discovered(bench.app)) == 1
    await bench.sandbox.configure(client_secret="neither")
    with pytest.raises(ContractBreach, match="client id or secret"):
        await main.discovered(bench.app)


async def test_without_credentials_of_its_own_it_is_told(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="the integration's own credentials"):
        await main.discovered(bench.app)


async def test_an_integration_that_revento_does_not_know_is_a_setting_to_correct(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__INTEGRATION_ID": "int_other"}, developer_limits=UNLIMITED)
    with pytest.raises(ConfigError, match="no listing for the integration 'int_other'") as error:
        await main.discovered(bench.app)
    assert "revento.integration_id" in str(error.value.hint)


async def test_a_participant_who_signed_in_is_no_event(open_bench: OpenBench) -> None:
    """The listing tells of events alone, and the people of an event are nothing that differs from it."""
    bench = await open_bench({"REVENTO__INTEGRATION_ID": "int_sandbox"}, developer_limits=UNLIMITED)
    await bench.add()
    await bench.add_user(bench.sandbox.truth()["events"][0]["participants"][0]["id"])
    assert [(one.account, one.advice) for one in await main.discovered(bench.app)] == [(bench.event_id, None)]
