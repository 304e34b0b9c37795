"""What was asked under the integration's own credentials, for whichever installation: one budget for them all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from syncd.store.database import Database
from syncd.store.requests import ANSWERED_FOR_S, PAUSE_S, PAUSES
from syncd.wire.rate_limit import STRAY_S
from syncd.wire.retry import UNNAMED_WAIT_S


async def client_spending(database: Database, fingerprints: Sequence[str]) -> tuple[list[float], float]:
    """How long ago each call of the last hour was answered, or can no longer arrive; and for how many seconds the
    server still wants none. Raises DatabaseError."""
    async with database.control() as control:
        rows = await control.execute(
            _SPENT, {"fingerprints": list(fingerprints), "stray_s": STRAY_S, "unnamed_s": UNNAMED_WAIT_S}
        )
        spent = [(float(age_s), float(pause_s or 0.0)) for age_s, pause_s in rows]
    ages_s = [max(age_s, -STRAY_S) for age_s, _ in spent]
    return ages_s, max((pause_s - age_s for age_s, pause_s in spent), default=0.0)


# By installation, whose index the requests have.
_SPENT = text(f"""
    SELECT {ANSWERED_FOR_S}, CASE WHEN {PAUSES} THEN {PAUSE_S} END
    FROM syncd.installations JOIN syncd.requests ON installation = name
    WHERE token_fingerprint = ANY(:fingerprints) AND sent_at > clock_timestamp() - interval '2 hours'
""")
