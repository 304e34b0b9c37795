"""What is left of each token's call budget, who spent it, and who waits for it. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class Spender:
    """Calls of the last hour to one endpoint for one cause."""

    endpoint: str
    kind: str  # backfill; live: every other run; check: outside a run
    trigger: str | None  # of the run
    calls: int


@dataclass(frozen=True, slots=True)
class Hour:
    """What one hour of the last day has cost, and the least that any reply in it said was left."""

    hour_at: datetime
    calls: int
    refused: int
    waits: int
    limit: int | None
    lowest_remaining: int | None


@dataclass(frozen=True, slots=True)
class TokenReport:
    """The calls on one token, and its hourly budget as the newest reply tells it."""

    installation: str
    token_fingerprint: str
    is_current: bool
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    calls_last_hour: int
    calls_last_minute: int
    refused_last_hour: int  # answered with 429
    last_call_at: datetime | None
    waits_for: str | None  # hour, minute or server; None: nobody waits for this token
    waits_until: datetime | None
    as_of: datetime
    spent_by: tuple[Spender, ...] = ()  # within the last hour, the one that spent most first
    last_day: tuple[Hour, ...] = ()  # the hours in which there were calls, the oldest first

    @property
    def used(self) -> int | None:
        """Calls of everybody within the server's hour, as its newest reply tells; None as long as none has said."""
        return None if self.limit is None or self.headroom is None else max(self.limit - self.headroom, 0)

    @property
    def lowest_of_day(self) -> int | None:
        """The least that any reply of the last day said was left."""
        return min((hour.lowest_remaining for hour in self.last_day if hour.lowest_remaining is not None), default=None)

    @property
    def headroom(self) -> int | None:
        """Calls that the server would still take within its hour; None as long as no reply has said."""
        is_whole_again = self.reset_at is not None and self.reset_at <= self.as_of
        return self.limit if is_whole_again else self.remaining


async def report_tokens(database: Database, names: Sequence[str] = ()) -> list[TokenReport]:
    """The present token of each of these installations, or of all, and every other token used within the last hour."""
    async with database.control() as control:
        found = [TokenReport(*row) for row in await control.execute(_TOKENS, {"names": list(names)})]
        spent: dict[tuple[str, str], list[Spender]] = defaultdict(list)
        for installation, fingerprint, *values in await control.execute(_SPENDERS):
            spent[installation, fingerprint].append(Spender(*values))
        hours: dict[tuple[str, str], list[Hour]] = defaultdict(list)
        for installation, fingerprint, *values in await control.execute(_HOURS):
            hours[installation, fingerprint].append(Hour(*values))
    keys = [(token.installation, token.token_fingerprint) for token in found]
    return [
        replace(token, spent_by=tuple(spent[key]), last_day=tuple(hours[key]))
        for token, key in zip(found, keys, strict=True)
    ]


_TOKENS = text("""
    WITH recent AS (
        SELECT * FROM syncd.requests WHERE sent_at > statement_timestamp() - interval '1 hour'
    ), tokens AS (
        SELECT installation, access_fingerprint AS token_fingerprint FROM syncd.credentials
        UNION SELECT installation, token_fingerprint FROM recent
    )
    SELECT token.installation, token.token_fingerprint,
        EXISTS (SELECT FROM syncd.credentials WHERE access_fingerprint = token.token_fingerprint),
        said.rate_limit, said.rate_remaining, said.rate_reset_at,
        count(recent.request_id),
        count(recent.request_id) FILTER (WHERE recent.sent_at > statement_timestamp() - interval '1 minute'),
        count(recent.request_id) FILTER (WHERE recent.status = 429),
        last.sent_at, lease.waits_for, lease.waits_until, statement_timestamp()
    FROM tokens AS token
    LEFT JOIN recent USING (installation, token_fingerprint)
    LEFT JOIN syncd.leases AS lease ON lease.installation = token.installation
        AND lease.until >= clock_timestamp() AND lease.waits_until > clock_timestamp()
        AND EXISTS (SELECT FROM syncd.credentials WHERE access_fingerprint = token.token_fingerprint)
    LEFT JOIN LATERAL (
        SELECT rate_limit, rate_remaining, rate_reset_at FROM syncd.requests AS request
        WHERE request.installation = token.installation AND request.token_fingerprint = token.token_fingerprint
          AND rate_limit IS NOT NULL ORDER BY sent_at DESC LIMIT 1
    ) AS said ON true
    LEFT JOIN LATERAL (
        SELECT sent_at FROM syncd.requests AS request
        WHERE request.installation = token.installation AND request.token_fingerprint = token.token_fingerprint
        ORDER BY sent_at DESC LIMIT 1
    ) AS last ON true
    WHERE cardinality(CAST(:names AS text[])) = 0 OR token.installation = ANY (:names)
    GROUP BY 1, 2, 4, 5, 6, 10, 11, 12 ORDER BY 1, 3 DESC, 10 DESC NULLS LAST
""")
_SPENDERS = text("""
    SELECT installation, token_fingerprint, endpoint,
        CASE WHEN trigger IS NULL THEN 'check' WHEN trigger = 'backfill' THEN 'backfill' ELSE 'live' END,
        trigger, count(*)
    FROM (SELECT * FROM syncd.requests WHERE sent_at > statement_timestamp() - interval '1 hour') AS request
    LEFT JOIN (SELECT run_id, trigger FROM syncd.runs) AS run USING (run_id)
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 3, 5
""")
_HOURS = text("""
    SELECT installation, token_fingerprint, hour_at, calls, refused_calls, waits, rate_limit, lowest_remaining
    FROM bi.api_headroom WHERE hour_at > statement_timestamp() - interval '1 day' ORDER BY hour_at
""")
