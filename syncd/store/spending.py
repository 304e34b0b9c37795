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
    """The calls on one token and on those that it was renewed from, and their hourly budget as the newest reply tells
    it."""

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
    """The budget of each of these installations, or of all, under its present token; and of every other token that was
    used within the last hour."""
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


# A budget outlives the renewals of its token (contracts/revento.md G12): what the earlier ones spent is the present
# one's. What belongs to none are the client credentials, under the installation that they asked for.
_RECENT = """
    known AS (
        SELECT installation, access_fingerprint AS token, access_fingerprint AS token_fingerprint FROM syncd.credentials
        UNION
        SELECT installation, access_fingerprint, event.token_fingerprint
        FROM syncd.credentials JOIN syncd.token_events AS event USING (installation)
        WHERE kind IN ('issued', 'refreshed')
    ), recent AS (
        SELECT request.*, coalesce(token, token_fingerprint) AS token
        FROM syncd.requests AS request LEFT JOIN known USING (installation, token_fingerprint)
        WHERE sent_at > statement_timestamp() - interval '1 hour'
    )"""
_NEWEST = """
    SELECT sent_at, rate_limit, rate_remaining, rate_reset_at
    FROM syncd.requests AS request LEFT JOIN known USING (installation, token_fingerprint)
    WHERE request.installation = tokens.installation AND coalesce(known.token, token_fingerprint) = tokens.token"""
_TOKENS = text(f"""
    WITH {_RECENT}, tokens AS (SELECT installation, token FROM known UNION SELECT installation, token FROM recent)
    SELECT tokens.installation, tokens.token, pair.installation IS NOT NULL,
        said.rate_limit, said.rate_remaining, said.rate_reset_at,
        count(recent.request_id),
        count(recent.request_id) FILTER (WHERE recent.sent_at > statement_timestamp() - interval '1 minute'),
        count(recent.request_id) FILTER (WHERE recent.status = 429),
        last.sent_at, lease.waits_for, lease.waits_until, statement_timestamp()
    FROM tokens
    LEFT JOIN recent USING (installation, token)
    LEFT JOIN syncd.credentials AS pair
        ON pair.installation = tokens.installation AND pair.access_fingerprint = tokens.token
    LEFT JOIN syncd.leases AS lease ON lease.installation = pair.installation
        AND lease.until >= clock_timestamp() AND lease.waits_until > clock_timestamp()
    LEFT JOIN LATERAL ({_NEWEST} AND rate_limit IS NOT NULL ORDER BY sent_at DESC LIMIT 1) AS said ON true
    LEFT JOIN LATERAL ({_NEWEST} ORDER BY sent_at DESC LIMIT 1) AS last ON true
    WHERE cardinality(CAST(:names AS text[])) = 0 OR tokens.installation = ANY (:names)
    GROUP BY 1, 2, 3, 4, 5, 6, 10, 11, 12 ORDER BY 1, 3 DESC, 10 DESC NULLS LAST
""")
_SPENDERS = text(f"""
    WITH {_RECENT}
    SELECT installation, token, endpoint,
        CASE WHEN trigger IS NULL THEN 'check' WHEN trigger = 'backfill' THEN 'backfill' ELSE 'live' END,
        trigger, count(*)
    FROM recent LEFT JOIN (SELECT run_id, trigger FROM syncd.runs) AS run USING (run_id)
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 3, 5
""")
_HOURS = text(f"""
    WITH {_RECENT}
    SELECT installation, coalesce(token, token_fingerprint), hour_at, sum(calls)::bigint, sum(refused_calls)::bigint,
        sum(waits)::bigint, (array_agg(rate_limit ORDER BY last_reset_at DESC NULLS LAST))[1], min(lowest_remaining)
    FROM bi.api_headroom LEFT JOIN known USING (installation, token_fingerprint)
    WHERE hour_at > statement_timestamp() - interval '1 day' GROUP BY 1, 2, 3 ORDER BY 3
""")
