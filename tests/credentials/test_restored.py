"""A database that was set back, or copied, spends no refresh token that has been spent elsewhere."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from syncd import main
from syncd.credentials.generations import GenerationFile
from syncd.errors import ConfigError, DatabaseError, DatabaseRestored, NeedsAuthorization
from syncd.main.steering import remove
from syncd.store import restored
from syncd.store.restored import where_we_are
from syncd.sync.round import Watch
from tests.credentials.test_refresh import events, leased, manager, refreshes
from tests.harness import TOKEN, Bench

PAIR = "access_token, refresh_token, access_fingerprint, refresh_fingerprint, access_expires_at, generation"

# What a server says that does not let everybody call pg_control_system(); the tests' own user may do anything.
KEPT_BACK = """
    CREATE FUNCTION kept_back() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'permission denied for function pg_control_system'; END $$
"""


async def renew(bench: Bench) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    assert (await bench.sync(streams=["event"])).exit_code == 0


def set_back(bench: Bench, pair: tuple[object, ...]) -> None:
    """What restoring yesterday's backup leaves of the credentials."""
    marks = ", ".join(["%s"] * len(pair))
    bench.execute(f"UPDATE syncd.credentials SET ({PAIR}) = ({marks})", *pair)


@pytest.mark.fault(57)
@pytest.mark.fault(83)
async def test_a_restored_backup_spends_no_token_again(bench: Bench) -> None:
    """Its access token is tried; once that is refused a person has to say that no newer backup will come."""
    (backup,) = bench.query(f"SELECT {PAIR} FROM syncd.credentials")
    await renew(bench)
    (newest,) = bench.query(f"SELECT {PAIR} FROM syncd.credentials")
    set_back(bench, backup)
    before = len(refreshes(bench))
    bench.sandbox.tokens.expire_event(bench.event_id)
    for _ in range(2):
        result = await bench.sync(streams=["event", "roles"])
        assert (result.exit_code, {one.status for one in result.streams}) == (4, {"failed"})
        assert "gone back behind 1 renewal" in str(result.streams[0].reason)
        assert "syncd db restored" in str(result.streams[0].hint)
    assert len(refreshes(bench)) == before, "the spent token was not shown to anybody"
    assert bench.query("SELECT state FROM syncd.installations") == [("active",)]
    set_back(bench, newest)  # a newer backup turns up
    assert (await bench.sync(streams=["event"])).exit_code == 0


@pytest.mark.fault(55)
@pytest.mark.fault(57)
@pytest.mark.parametrize("keep_grant", [False, True])
async def test_removing_what_was_set_back_or_copied_ends_no_grant(bench: Bench, keep_grant: bool) -> None:
    (backup,) = bench.query(f"SELECT {PAIR} FROM syncd.credentials")
    await renew(bench)
    set_back(bench, backup)
    installation = await bench.installation()
    if keep_grant:
        await remove(bench.app, installation, Watch(), keep_grant=True)
    else:
        with pytest.raises(DatabaseRestored) as error:
            await remove(bench.app, installation, Watch(), keep_grant=False)
        assert "--keep-grant" in str(error.value.hint)
    assert bench.calls("/oauth/revoke") == []


@pytest.mark.fault(46)
@pytest.mark.parametrize("is_refused", [False, True])
async def test_credentials_that_were_renewed_since_are_not_taken_up_again(bench: Bench, is_refused: bool) -> None:
    """A script that provisions an installation twice must not kill it."""
    reply = bench.sandbox.connect(bench.event_id)
    await bench.add_reply("revento", reply)
    await renew(bench)
    if is_refused:
        bench.execute("UPDATE syncd.installations SET state = 'needs_consent'")
    before = bench.query("SELECT * FROM syncd.credentials")
    with pytest.raises(NeedsAuthorization) if is_refused else capture_logs():
        await bench.add_reply("revento", reply)
    assert bench.query("SELECT * FROM syncd.credentials") == before
    assert bench.query("SELECT state FROM syncd.installations") == [("needs_consent" if is_refused else "active",)]
    if not is_refused:
        await renew(bench)
        assert {entry["status"] for entry in refreshes(bench)} == {200}


@pytest.mark.fault(46)
@pytest.mark.fault(63)
@pytest.mark.parametrize("renewed", [False, True])
async def test_one_grant_belongs_to_one_installation(bench: Bench, renewed: bool) -> None:
    reply = bench.sandbox.connect(bench.event_id)
    first = await bench.add_reply("revento", reply)
    if renewed:
        await renew(bench)
    with pytest.raises(ConfigError, match=f"those of {first.name}") as error:
        await bench.add_reply("revento", reply, name="copy")
    assert ("--keep-grant" in str(error.value.hint)) != renewed, "what was renewed is spent, and stays so"
    assert bench.query("SELECT name FROM syncd.installations") == [(first.name,)]


@pytest.mark.fault(57)
async def test_a_renewal_that_is_lost_for_good_waits_for_a_consent_on_a_persons_word(bench: Bench) -> None:
    (backup,) = bench.query(f"SELECT {PAIR} FROM syncd.credentials")
    await renew(bench)
    set_back(bench, backup)
    assert [one.fate for one in await main.accept_restored(bench.app)] == ["spent"]
    ((state, reason),) = bench.query("SELECT state, state_reason FROM syncd.installations")
    assert (state, "restored" in reason) == ("needs_consent", True)
    assert events(bench)[-1] == "refused"
    await bench.add()
    await renew(bench)  # a new consent counts from the start


@pytest.mark.fault(57)
async def test_a_copy_in_another_database_leaves_the_tokens_to_the_original(bench: Bench) -> None:
    bench.execute("UPDATE syncd.credentials SET stored_in = '7000000000000000000/5'")
    assert (await bench.sync(streams=["event"])).exit_code == 0, "its access token is as good as there"
    bench.sandbox.tokens.expire_event(bench.event_id)
    result = await bench.sync(streams=["event"])
    assert (result.exit_code, refreshes(bench)) == (4, [])
    assert "another database" in str(result.streams[0].reason)
    assert [one.fate for one in await main.accept_restored(bench.app)] == ["moved"]
    assert (await bench.sync(streams=["event"])).exit_code == 0
    assert [one.fate for one in await main.accept_restored(bench.app)] == ["same"]


async def test_an_access_token_that_lives_is_used_up_first(bench: Bench) -> None:
    bench.execute("UPDATE syncd.credentials SET stored_in = 'elsewhere'")
    bench.execute("UPDATE syncd.credentials SET access_expires_at = clock_timestamp() + interval '2 minutes'")
    assert (await bench.sync(streams=["event"])).exit_code == 0
    assert refreshes(bench) == []


async def test_where_the_server_does_not_say_who_it_is_nothing_is_held_back(bench: Bench) -> None:
    held = await manager(bench)
    store = replace(held.store, here=None)  # type: ignore[type-var]
    bench.execute("UPDATE syncd.credentials SET stored_in = 'elsewhere'")
    assert (await store.load()).is_from_elsewhere is False


@pytest.mark.fault(57)
async def test_a_server_that_keeps_its_numbers_back_makes_nothing_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal, a consent and a person's word leave what is known of the pair's origin."""
    bench.execute(KEPT_BACK)
    monkeypatch.setattr(restored, "_WHERE", text("SELECT kept_back()"))
    assert await where_we_are(bench.app.database) is None
    bench.execute("UPDATE syncd.credentials SET stored_in = 'known'")
    await renew(bench)
    await bench.add()
    await main.accept_restored(bench.app)
    assert len(refreshes(bench)) == 1
    assert bench.value("SELECT stored_in FROM syncd.credentials") == "known"


@pytest.mark.fault(57)
async def test_a_server_that_is_not_asked_for_want_of_a_connection_is_not_taken_for_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.execute("UPDATE syncd.credentials SET stored_in = 'elsewhere'")
    bench.sandbox.tokens.expire_event(bench.event_id)
    database = bench.app.database
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    async with AsyncExitStack() as used_up:
        for _ in range(database.engine.pool.size()):  # type: ignore[attr-defined]
            await used_up.enter_async_context(database.control())
        with pytest.raises(DatabaseError, match="no connection to the database is free"):
            await where_we_are(database)
    monkeypatch.setattr(restored, "_WHERE", text("SELECT 1 / 0"))
    with pytest.raises(DatabaseError, match="22012"):
        await bench.sync(streams=["event"])
    assert refreshes(bench) == []


@pytest.mark.fault(53)
async def test_a_renewed_token_of_another_event_is_stored_and_not_used(bench: Bench) -> None:
    """It is the newest of its family, whatever it opens: losing it would lose the grant."""
    bench.sandbox.faults.add({"endpoint": TOKEN, "set": {"event_id": "evt_other"}})
    bench.sandbox.tokens.expire_event(bench.event_id)
    result = await bench.sync(streams=["event"])
    assert result.exit_code == 4
    assert "opens 'evt_other'" in str(result.streams[0].reason)
    assert bench.query("SELECT state, generation FROM syncd.installations JOIN syncd.credentials ON true") == [
        ("needs_consent", 1)
    ]
    assert events(bench)[-2:] == ["refreshed", "refused"]


@pytest.mark.fault(57)
async def test_two_renewals_behind_is_told(bench: Bench) -> None:
    held = await manager(bench, lease=await leased(bench))
    held.generations.note(2)
    with pytest.raises(DatabaseRestored, match="behind 2 renewal"):
        await held.renew((await held.store.load()).access_token)


def test_what_is_remembered_only_grows(tmp_path: Path) -> None:
    grant = uuid4()
    memory = GenerationFile(tmp_path / "made on the way", grant)
    assert memory.newest() == 0
    for generation in (3, 2, 3):
        memory.note(generation)
        assert GenerationFile(memory.folder, grant).newest() == 3
    assert GenerationFile(memory.folder, uuid4()).newest() == 0
    assert [path.name for path in memory.folder.iterdir()] == [str(grant)], "no half-written file is left"


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        GenerationFile(tmp_path / "file", uuid4()).note(1)
        (tmp_path / str(grant := uuid4())).write_text("many")
        assert GenerationFile(tmp_path, grant).newest() == 0
    assert {entry["event"] for entry in logs} == {"generation_not_read", "generation_not_remembered"}
