"""Whether a reply is fresh, or a copy that somebody between us and the API has kept (docs/faults.md 13, 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from syncd.wire.rate_limit import read_http_date

# Replies overtake one another by at most the time that one may take; what is older than that was not under way.
DATE_SLACK = timedelta(seconds=60)
_AGED = re.compile(r"0*[1-9][0-9]*\Z", re.ASCII)


def read_date(headers: Mapping[str, str]) -> datetime | None:
    """When the reply was made, on the server's clock."""
    return read_http_date(headers.get("date", ""))


def why_stale(headers: Mapping[str, str], newest: datetime | None) -> str | None:
    """Why the reply is a stored copy, or None. `newest`: the latest `Date` of this server's earlier replies.

    A server's clock may be wrong by any amount, so its `Date` is only held against its own.
    """
    if _AGED.match(headers.get("age", "").strip()):
        return "the reply was kept by a cache on its way, as its Age says"
    date = read_date(headers)
    if date is not None and newest is not None and date < newest - DATE_SLACK:
        return "the reply was made before earlier ones, as its Date says"
    return None
