"""The whole check-up, on a real database, a real sandbox and real sockets."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

from syncd import config, main
from syncd.doctor.checkup import ORDER, check_server, check_work, in_order, without_settings
from syncd.findings import Finding
from tests.harness import Bench, OpenBench


async def checkup(bench: Bench, *names: str) -> list[Finding]:
    settings = bench.app.settings
    server, url = check_server(settings)
    return in_order([*server, *await check_work(settings, url, names)])


def of(findings: list[Finding], topic: str) -> list[tuple[str, str]]:
    return [(finding.state, finding.sentence) for finding in findings if finding.topic == topic]


async def test_a_healthy_place(bench: Bench) -> None:
    await bench.sync()
    findings = await checkup(bench)
    topics = ("database", "schema", "keys", "installations", "freshness", "leases", "clock", "hosts", "requests")
    grants = re.compile("syncd_(bi|writer)")  # the server's roles may be another test's
    wrong = [
        each for each in findings if each.topic in topics and each.state != "ok" and not grants.search(each.sentence)
    ]
    assert wrong == []
    assert {finding.topic for finding in findings} == {*topics, "daemon"}
    assert [ORDER.index(finding.topic) for finding in findings] == sorted(
        ORDER.index(finding.topic) for finding in findings
    )
    ((state, sentence),) = of(findings, "requests")
    assert (state, sentence.endswith(f"answered in order ({len(bench.calls())})")) == ("ok", True)


async def test_what_is_wrong_is_found(bench: Bench) -> None:
    """Never certified, a dead driver, a key that is gone, a scope too few, and calls that were refused."""
    name = bench.names[0]
    bench.execute("UPDATE syncd.credentials SET access_token = '\\x026b39' || substr(access_token, 4)")
    bench.execute("UPDATE syncd.installations SET scopes = array_remove(scopes, 'participants.read')")
    owner = f"sync on {socket.gethostname()}, process {dead_process()}"
    bench.execute("INSERT INTO syncd.leases VALUES (%s, %s, 1, now() + interval '1 hour')", name, owner)
    for status in (200, 429, 503, None):
        bench.execute(
            "INSERT INTO syncd.requests (request_id, installation, endpoint, sent_at, duration_ms, status,"
            " token_fingerprint) VALUES (gen_random_uuid(), %s, '/x', now(), 1, %s, 'abc')",
            name, status,
        )  # fmt: skip
    findings = await checkup(bench, name)
    assert of(findings, "keys")[0][1].endswith("is encrypted under key 'k9', which is missing")
    assert "lacks the scope participants.read" in of(findings, "installations")[1][1]
    assert {state for state, _ in of(findings, "freshness")} == {"wrong"}
    assert len(of(findings, "freshness")) == 7
    assert of(findings, "leases") == [
        ("warning", f"the last driver of {name} ({owner}) ended without giving it back")
    ]  # fmt: skip
    assert of(findings, "requests") == [
        ("warning", f"{name}: 1 of 4 calls were refused with 429"),
        ("wrong", f"{name}: 2 of 4 calls got a 5xx, or no reply"),
    ]


def dead_process() -> int:
    """The number of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


async def test_only_the_installations_that_were_named(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    for event_id in bench.sandbox.event_ids:
        await bench.add(event_id)
    findings = await checkup(bench, bench.names[1])
    said = " ".join(sentence for _, sentence in of(findings, "installations") + of(findings, "freshness"))
    assert bench.names[1] in said
    assert bench.names[0] not in said


async def test_a_host_that_is_not_there(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__AUTH_URL": "http://127.0.0.1:1"})
    (refused,) = [each for each in of(await checkup(bench), "hosts") if each[0] == "wrong"]
    assert refused[1].startswith("127.0.0.1:1: no connection")


async def test_behind_a_proxy_hosts_are_not_judged(open_bench: OpenBench) -> None:
    bench = await open_bench({"HTTP__PROXY": "http://proxy.example.com:3128"})
    ((state, sentence),) = of(await checkup(bench), "hosts")
    assert (state, "http.proxy" in sentence) == ("unchecked", True)


@pytest.mark.parametrize(
    "damage", ["DROP SCHEMA syncd CASCADE", "UPDATE syncd.alembic_version SET version_num = '0001'"]
)
async def test_without_the_newest_schema_nothing_stored_is_judged(bench: Bench, damage: str) -> None:
    bench.execute(damage)
    findings = await checkup(bench)
    assert [state for state, _ in of(findings, "schema")] == ["wrong"]
    for topic in ("keys", "installations", "freshness", "leases", "clock", "requests"):
        assert of(findings, topic) == [("unchecked", "not checked: the database cannot be used")]
    assert [state for state, _ in of(findings, "hosts")] == ["ok"]


async def test_a_server_that_is_gone(tmp_path: Path) -> None:
    settings = config.load(None, {"SYNCD_DATABASE__URL": "postgresql://127.0.0.1:1/x"})
    findings, url = check_server(settings)
    assert url is None
    assert [finding.state for finding in findings] == ["wrong", *["unchecked"] * 5]
    assert {finding.state for finding in without_settings()} == {"unchecked"}


async def test_the_embedded_server_as_it_is(postgres_server: str, database_url: str) -> None:
    passfile = re.search(r"passfile=([^&]+)", postgres_server)
    if passfile is None:
        pytest.skip("the session's server is not an embedded one")
    home = Path(unquote(passfile[1])).parent
    settings = config.load(None, {"SYNCD_DATABASE__DATA_DIR": str(home)})
    with psycopg.connect(postgres_server) as connection:
        assert connection.execute("SELECT to_regclass('syncd.runs')").fetchone() == (None,)
    findings, url = check_server(settings)
    assert of(findings, "embedded server")[0][1].startswith("PostgreSQL ")
    assert [state for state, _ in of(findings, "embedded server")].count("wrong") == 0
    assert of(findings, "schema") == [("wrong", "the database has no schema of syncd yet")]
    assert url is None
    assert not main.own_keys_path(settings).exists(), "a check makes no keys"
