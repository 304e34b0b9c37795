"""The places at which a process is killed: around each thing that it does to the outside or to the database."""

from __future__ import annotations

from tests.kills.failpoint import Failpoint, Stage, When

BEFORE, AFTER = When.BEFORE, When.AFTER
REQUEST_SENT, COMMIT_UNSENT = When.REQUEST_SENT, When.COMMIT_UNSENT
REPLY_UNREAD, COMMITTED = When.REPLY_UNREAD, When.COMMITTED
REMOVAL, HOLD = Stage.REMOVAL, Stage.HOLD

_LEASES, _RUNS, _WALKS, _TOKENS = (f"syncd.store.{name}" for name in ("leases", "runs", "walks", "tokens"))
_CHANGES, _REMOVALS, _REQUESTS = (f"syncd.store.{name}" for name in ("changes", "removals", "requests"))
_API, _REFRESH = "syncd.http.api:HttpApi._attempt", "syncd.http.token_endpoint:HttpTokenEndpoint.refresh"
_ANEW, _RENEWAL = "syncd.sync.installation:_begin_anew", "sql:UPDATE syncd.leases SET until = clock_timestamp()"
# Of a first load: the event is 1, the roles are 2, pages of participants begin with 3.
_LATER_PAGE = 5  # the third of participants

LEASE = (
    Failpoint("the lease is not claimed", f"{_LEASES}:claim", BEFORE),
    Failpoint("the claim is not committed", f"{_LEASES}:claim", COMMIT_UNSENT),
    Failpoint("the claim is committed, nobody knows", f"{_LEASES}:claim", REPLY_UNREAD),
    Failpoint("the lease is claimed", f"{_LEASES}:claim", AFTER),
    Failpoint("a renewal is not sent", _RENEWAL, BEFORE, latency_s=0.06),
    Failpoint("a renewal is not committed", _RENEWAL, COMMIT_UNSENT, latency_s=0.06),
    Failpoint("a renewal is committed, nobody knows", _RENEWAL, REPLY_UNREAD, latency_s=0.06),
    Failpoint("the lease is not released", f"{_LEASES}:_release", BEFORE),
    Failpoint("the release is not committed", f"{_LEASES}:_release", COMMIT_UNSENT),
    Failpoint("the release is committed, nobody knows", f"{_LEASES}:_release", REPLY_UNREAD),
    Failpoint("the lease is released", f"{_LEASES}:_release", AFTER),
)
RUN = (
    Failpoint("the run is not begun", f"{_RUNS}:open_run", BEFORE),
    Failpoint("the run is not committed", f"{_RUNS}:open_run", COMMIT_UNSENT),
    Failpoint("the run is committed, nobody knows", f"{_RUNS}:open_run", REPLY_UNREAD),
    Failpoint("the run is begun", f"{_RUNS}:open_run", AFTER),
    Failpoint("a stream is not ended", f"{_RUNS}:end_stream", BEFORE, nth=4),
    Failpoint("the end of a stream is committed, nobody knows", "syncd.sync.installation:_end", REPLY_UNREAD, nth=3),
    Failpoint("the API is drained, the run is open", "syncd.sync.round:_close", BEFORE),
    Failpoint("the last requests are committed, nobody knows", f"{_REQUESTS}:store_requests", REPLY_UNREAD),
    Failpoint("the run is not closed", f"{_RUNS}:end_run", BEFORE),
    Failpoint("the end of the run is not committed", f"{_RUNS}:end_run", COMMIT_UNSENT),
    Failpoint("the end of the run is committed, nobody knows", f"{_RUNS}:end_run", REPLY_UNREAD),
    Failpoint("the run is closed", f"{_RUNS}:end_run", AFTER),
)
CALL = (
    Failpoint("the first call is not sent", _API, BEFORE),
    Failpoint("a call is not sent", _API, BEFORE, nth=_LATER_PAGE),
    Failpoint("a call is sent", _API, REQUEST_SENT, nth=_LATER_PAGE),
    Failpoint("the head of a reply has come", "syncd.http.client:Incoming.read", BEFORE, nth=_LATER_PAGE),
    Failpoint("a reply is whole", "syncd.http.client:Incoming.read", AFTER, nth=_LATER_PAGE),
    Failpoint("a call is noted", f"{_REQUESTS}:PendingRequests.append", AFTER, nth=_LATER_PAGE),
    Failpoint("an error is judged", "syncd.wire.retry:decide", BEFORE),
)
PAGE = (
    Failpoint("a walk is not opened", f"{_WALKS}:open_walk", BEFORE, nth=3),
    Failpoint("a walk is begun", f"{_WALKS}:begin_walk", AFTER, nth=3),
    Failpoint("the beginning of a walk is committed, nobody knows", f"{_WALKS}:begin_walk", REPLY_UNREAD, nth=3),
    Failpoint("the transaction of a page has begun", f"{_CHANGES}:apply_changes", BEFORE, nth=2 * _LATER_PAGE - 1),
    Failpoint("the entities are written, not their parts", "syncd.store.parts:apply_parts", BEFORE, nth=_LATER_PAGE),
    Failpoint("the parts are written", "syncd.store.parts:apply_parts", AFTER, nth=_LATER_PAGE),
    Failpoint("stubs are not written", "syncd.store.stubs:insert_missing_parents", BEFORE, nth=2 * _LATER_PAGE),
    Failpoint("the rows are written, not the ledger", f"{_WALKS}:record_page", BEFORE, nth=_LATER_PAGE),
    Failpoint("the ledger is written, not the requests", f"{_REQUESTS}:write_requests", BEFORE, nth=_LATER_PAGE),
    Failpoint("the position is not saved", f"{_WALKS}:save_position", BEFORE, nth=7),
    Failpoint("the position is saved", f"{_WALKS}:save_position", AFTER, nth=7),
    Failpoint("a page is not committed", f"{_WALKS}:record_page", COMMIT_UNSENT, nth=_LATER_PAGE),
    Failpoint("a page is committed, nobody knows", f"{_WALKS}:record_page", REPLY_UNREAD, nth=_LATER_PAGE),
    Failpoint("a page is committed", f"{_WALKS}:record_page", COMMITTED, nth=_LATER_PAGE),
    Failpoint("the requests are settled", f"{_REQUESTS}:PendingRequests.settle", AFTER, nth=_LATER_PAGE + 2),
    Failpoint("a single call's page is committed, nobody knows", f"{_WALKS}:record_page", REPLY_UNREAD),
)
CERTIFICATE = (
    Failpoint("a walk is not certified", f"{_WALKS}:certify", BEFORE, nth=3),
    Failpoint("a certificate is written", f"{_WALKS}:certify", AFTER, nth=3),
    Failpoint("a certificate is not committed", f"{_WALKS}:certify", COMMIT_UNSENT, nth=3),
    Failpoint("a certificate is committed, nobody knows", f"{_WALKS}:certify", REPLY_UNREAD, nth=3),
    Failpoint("a certificate is committed", f"{_WALKS}:certify", COMMITTED, nth=3),
)
REFRESH = (
    Failpoint("a refresh is not intended", f"{_TOKENS}:StoredTokens.intend", BEFORE),
    Failpoint("the intent is not committed", f"{_TOKENS}:StoredTokens.intend", COMMIT_UNSENT),
    Failpoint("the intent is committed, nobody knows", f"{_TOKENS}:StoredTokens.intend", REPLY_UNREAD),
    Failpoint("a refresh is not sent", _REFRESH, BEFORE),
    Failpoint("a refresh is sent", _REFRESH, REQUEST_SENT, may_cost_consent=True),
    Failpoint("the new pair has come", _REFRESH, AFTER, may_cost_consent=True),
    Failpoint("the new pair is not stored", f"{_TOKENS}:StoredTokens.save", BEFORE, may_cost_consent=True),
    Failpoint("the new pair is written", f"{_TOKENS}:write_event", AFTER, nth=2, may_cost_consent=True),
    Failpoint("the new pair is not committed", f"{_TOKENS}:StoredTokens.save", COMMIT_UNSENT, may_cost_consent=True),
    Failpoint("the new pair is committed, nobody knows", f"{_TOKENS}:StoredTokens.save", REPLY_UNREAD),
    Failpoint("the new pair is stored", f"{_TOKENS}:StoredTokens.save", AFTER),
)
RESTART = (
    Failpoint("a walk is not given up", _ANEW, BEFORE, dies=True),
    Failpoint("a walk is given up, none is begun", f"{_WALKS}:abandon_walk", AFTER, dies=True),
    Failpoint("a restart is not committed", _ANEW, COMMIT_UNSENT, dies=True),
    Failpoint("a restart is committed, nobody knows", _ANEW, REPLY_UNREAD, dies=True),
    Failpoint("a smaller page's restart is committed, nobody knows", _ANEW, REPLY_UNREAD, nth=2, dies=True),
)
REMOVALS = (
    Failpoint("absence is not read", f"{_REMOVALS}:read_absence", BEFORE, nth=3, stage=REMOVAL),
    Failpoint("rows are not hidden", f"{_REMOVALS}:hide", BEFORE, nth=3, stage=REMOVAL),
    Failpoint("rows are hidden, their personal data are there", "sql:SET _syncd_deleted_at", AFTER, stage=REMOVAL),
    Failpoint("rows are hidden", f"{_REMOVALS}:hide", AFTER, nth=3, stage=REMOVAL),
    Failpoint("a removal is not committed", f"{_REMOVALS}:hide", COMMIT_UNSENT, nth=3, stage=REMOVAL),
    Failpoint("a removal is committed, nobody knows", f"{_REMOVALS}:hide", REPLY_UNREAD, nth=3, stage=REMOVAL),
    Failpoint("a removal is committed", f"{_REMOVALS}:hide", COMMITTED, nth=3, stage=REMOVAL),
    Failpoint("a hold is not saved", f"{_REMOVALS}:save_pending", BEFORE, nth=3, stage=HOLD),
    Failpoint("a hold is not committed", f"{_REMOVALS}:save_pending", COMMIT_UNSENT, nth=3, stage=HOLD),
    Failpoint("a hold is committed, nobody knows", f"{_REMOVALS}:save_pending", REPLY_UNREAD, nth=3, stage=HOLD),
)

FAILPOINTS: tuple[Failpoint, ...] = (
    *LEASE, *RUN, *CALL, *PAGE, *CERTIFICATE, *REFRESH, *RESTART, *REMOVALS,
)  # fmt: skip
