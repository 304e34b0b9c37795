"""One story: a process is killed while the world changes, others take over, and the end equals the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

import psycopg

from syncd import main
from syncd.sync.removals import accept
from tests import truth
from tests.harness import ACTIVITIES, PARTICIPANTS, Bench, OpenBench, environment
from tests.kills import oracles
from tests.kills.failpoint import Failpoint, Stage
from tests.kills.lives import KILLED, Lives

# A transaction may be idle for a third of the lease, and the machine may be busy.
SETTINGS = {"REVENTO__PAGE_SIZE": "10", "DAEMON__LEASE_S": "2", "LOG__LEVEL": "error"}
OTHER_READINGS = {"G2": "bound", "G3": "token"}
HELD, REFUSED = 5, 4
# Whoever needs more processes than that to end a round goes round in circles.
MOST_LIVES = 5
PAGES_PER_KILL = 2
# A removal needs two certified walks.
STILL_ROUNDS = 2


@dataclass
class Verdict:
    """What was seen: processes, kills, pages served once more than committed, walks begun anew, and all that is
    wrong."""

    failpoint: Failpoint
    seed: int
    lives: int = 0
    kills: int = 0
    refetched: int = 0
    restarts: int = 0
    consents_lost: int = 0
    violations: list[str] = field(default_factory=list)


async def play(open_bench: OpenBench, its: Lives, failpoint: Failpoint, seed: int, second: Failpoint) -> Verdict:
    """Kill at the failpoint and, from seed 1 on, the next process at a second one, should it come by there.

    Odd seeds have the other readings of what a cursor and a spent refresh token are good for.
    """
    gaps = (OTHER_READINGS if failpoint.dies or seed % 2 else {}) | ({"G7": "grace"} if seed % 2 else {})
    bench = await open_bench(gaps=gaps, latency_s=failpoint.latency_s)
    await bench.add()
    oracles.watch(bench)
    story = _Story(bench, its, Verdict(failpoint, seed), Random(f"{failpoint.name}/{seed}"))
    await story.prepare()
    await story.be_killed(second if seed else None)
    await story.end_still()
    return story.verdict


@dataclass
class _Story:
    bench: Bench
    its: Lives
    verdict: Verdict
    rng: Random

    async def prepare(self) -> None:
        """Come to the round that is to be killed."""
        stage = self.verdict.failpoint.stage
        if stage is Stage.LOAD:
            self._break_tokens_and_pages()
        else:
            self._expect(await self._live(), (0,), "the first load")
            self._withdraw(3 if stage is Stage.REMOVAL else 15)
        if stage is Stage.REMOVAL:  # the brake asks at once, few go by the second round
            self._expect(await self._live(), (0,), "the first round without them")
        self._schedule_changes()

    async def be_killed(self, second: Failpoint | None) -> None:
        """Die, and let the next ones end the round."""
        bench, failpoint = self.bench, self.verdict.failpoint
        before, pages = oracles.served(bench), oracles.pages_served(bench) - oracles.pages_committed(bench)
        code = await self._live(failpoint)
        if code != KILLED:
            self._wrong([f"the failpoint did not fire: the process ended with {code}"])
        for _ in range(4):
            bench.sandbox.world.live_once()
        if not self._token_is_to_run_out():
            self._run_out()
        await self._resume(second)
        self.verdict.refetched = oracles.pages_served(bench) - oracles.pages_committed(bench) - pages
        self.verdict.restarts = oracles.walks_given_up(bench)
        self._wrong(oracles.lost(bench, before))
        self._wrong(self._too_much())

    async def end_still(self) -> None:
        """Nothing changes any more."""
        for _ in range(STILL_ROUNDS):
            code = await self._live()
        if self.verdict.failpoint.stage is Stage.HOLD:
            self._expect(code, (HELD,), "the brake")
            await self._accept()
        else:
            self._expect(code, (0,), "the last round")
        self._wrong(oracles.at_rest(self.bench))
        with psycopg.connect(self.bench.url) as connection:
            self._wrong(truth.compare(connection, self.bench.sandbox.truth()))

    async def _resume(self, second: Failpoint | None) -> None:
        allowed = (HELD,) if self.verdict.failpoint.stage is Stage.HOLD else (0,)
        for _ in range(MOST_LIVES):
            is_lost = oracles.is_pair_lost(self.bench) and self.bench.sandbox.settings.reading("G7") == "revoke"
            code = await self._live(second)
            second = None
            if code in allowed:
                return
            if code == REFUSED and is_lost:
                await self._consent_anew()
            elif code != KILLED:
                self._wrong([f"a process that went on ended with {code}"])
        self._wrong([f"no end after {MOST_LIVES} processes"])

    async def _consent_anew(self) -> None:
        if not self.verdict.failpoint.may_cost_consent and self.verdict.kills == 1:
            self._wrong(["the consent is lost"])
        if (await self.bench.installation()).state != "needs_consent":
            self._wrong(["the consent is lost and nobody is told"])
        self.verdict.consents_lost += 1
        await self.bench.add()

    async def _live(self, failpoint: Failpoint | None = None) -> int:
        environ = environment(self.bench.url, self.bench.sandbox, **SETTINGS)
        code = await self.its.live(environ, self.bench.names[0], failpoint.name if failpoint else None)
        self.verdict.lives += 1
        self.verdict.kills += code == KILLED
        self._wrong(oracles.always(self.bench))
        return code

    async def _accept(self) -> None:
        """A person lets the held rows go."""
        installation = await self.bench.installation()
        (stream,) = main.chosen_streams(installation, ["participants"])
        await accept(self.bench.app.database, installation, stream, rejected=False)

    def _too_much(self) -> Iterator[str]:
        kills, lost = self.verdict.kills, self.verdict.consents_lost
        if self.verdict.refetched > PAGES_PER_KILL * kills:
            yield f"{self.verdict.refetched} pages were fetched again after {kills} kills"
        dies = self.bench.sandbox.settings.reading("G3") == "token"
        # One for each refresh, the one after each kill included, one for the smaller page, and one for a new consent.
        if self.verdict.restarts > (kills + 2 if dies else 0) + lost:
            yield f"{self.verdict.restarts} walks began anew"
        if not lost and oracles.is_family_revoked(self.bench):
            yield "the token family was revoked"
        if not lost and self.bench.sandbox.settings.reading("G7") == "revoke" and oracles.bad_conduct(self.bench):
            yield f"bad conduct: {oracles.bad_conduct(self.bench)}"

    def _break_tokens_and_pages(self) -> None:
        """The token runs out on the fifth page of participants; the second page of activities is too large."""
        self.bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 5, "error": "token_expired"})
        self.bench.sandbox.faults.add({"endpoint": ACTIVITIES, "nth": 2, "error": "payload_too_large"})

    def _token_is_to_run_out(self) -> bool:
        """Once per call is what a client must bear: twice on one call, and it gives up (contracts/revento.md §5)."""
        faults = self.bench.sandbox.faults.listing()
        return any(fault["error"] == "token_expired" and not fault["fired"] for fault in faults)

    def _run_out(self) -> None:
        """Every access token that a process may have expires now, so not one that died with its process unstored."""
        grant, now = self.bench.sandbox.tokens.grants()[-1], self.bench.sandbox.clock.now()
        known = list(grant.access_expires_at)[: -1 if oracles.is_pair_lost(self.bench) else None]
        grant.access_expires_at.update(dict.fromkeys(known, now))

    def _withdraw(self, count: int) -> None:
        world, event = self.bench.sandbox.world, self.bench.event_id
        for row_id in self.rng.sample(world.events[event].lists["participants"].ids(), count):
            world.delete(event, "participants", row_id)

    def _schedule_changes(self) -> None:
        """The world changes between pages, too."""
        row = "/events/{event_id}/participants/{row:%d}"
        acts = [
            {"method": "POST", "path": "/events/{event_id}/participants"},
            {"method": "PATCH", "path": row % self.rng.randrange(5), "body": {"application_status": "rejected"}},
            {"method": "DELETE", "path": row % self.rng.randrange(5)},
            {"method": "PATCH", "path": row % self.rng.randrange(-5, 0), "body": {"application_status": "approved"}},
            {"method": "DELETE", "path": row % self.rng.randrange(-5, 0)},
        ]
        for act in acts:
            nth = self.rng.randrange(2, 6)
            self.bench.sandbox.schedule.add({"endpoint": PARTICIPANTS, "nth": nth, "act": act})
        for nth in (1, 2):
            act = {"method": "POST", "path": "/life"}
            self.bench.sandbox.schedule.add({"endpoint": ACTIVITIES, "nth": nth, "act": act})

    def _expect(self, code: int, codes: tuple[int, ...], what: str) -> None:
        if code not in codes:
            self._wrong([f"{what} ended with {code}"])

    def _wrong(self, what: Iterable[str]) -> None:
        self.verdict.violations += [line for line in what if line not in self.verdict.violations]
