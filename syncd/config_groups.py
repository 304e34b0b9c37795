"""The keys, group by group (docs/interface.md §1). What each value must look like stands in `syncd.config_types`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from syncd.bind import DEFAULT_BIND
from syncd.config_types import Address, BaseUrl, DatabaseUrl, Duration, ProxyUrl, RedirectUri, Secret


class Group(BaseModel):
    """Some keys under one name: unchangeable, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Database(Group):
    """Where the warehouse is. Without `url`, syncd runs a PostgreSQL of its own in `data_dir`."""

    url: DatabaseUrl = None
    direct_url: DatabaseUrl = None
    pooler: Literal["none", "transaction"] = "none"
    pool_size: int = Field(default=10, ge=1)
    data_dir: Path | None = None


class Security(Group):
    """The key ring of the vault: `id:base64(32 bytes)`, comma separated; the first encrypts, all decrypt."""

    encryption_keys: Secret = None


class Http(Group):
    """The address that the daemon listens on, and the proxy that its calls leave by (it may hold a password)."""

    bind: Address = DEFAULT_BIND
    proxy: ProxyUrl = None


class Limits(Group):
    """Budgets of one installation token; 0 calls = no such limit; `reserve` is the hour's share left to other tools."""

    per_hour: int = Field(default=500, ge=0)
    per_minute: int = Field(default=30, ge=0)
    in_flight: int = Field(default=5, ge=1)
    reserve: float = Field(default=0.05, ge=0, lt=1)


class UserLimits(Limits):
    """The same of one participant's token."""

    per_hour: int = Field(default=200, ge=0)
    per_minute: int = Field(default=20, ge=0)
    reserve: float = Field(default=0, ge=0, lt=1)


class Revento(Group):
    """The integration as Revento registered it, and how fast it may be asked."""

    api_url: BaseUrl = None
    auth_url: BaseUrl = None
    client_id: str | None = None
    client_secret: Secret = None
    next_client_secret: Secret = None  # in a rotation: tried where the other one is refused
    integration_id: str | None = None
    redirect_uri: RedirectUri = None
    page_size: int = Field(default=50, ge=1, le=50)  # the listings' maximum: contracts/revento.md §9
    limits: Limits = Limits()
    user_limits: UserLimits = UserLimits()


class ReventoFreshness(Group):
    """How old the last certified walk of each stream may become."""

    event: Duration = timedelta(hours=6)
    roles: Duration = timedelta(hours=6)
    participants: Duration = timedelta(minutes=15)
    threads: Duration = timedelta(hours=6)
    locations: Duration = timedelta(hours=6)
    waves: Duration = timedelta(hours=6)
    activities: Duration = timedelta(minutes=15)


class ReventoUserFreshness(Group):
    """The same of what a participant's token opens."""

    application: Duration = timedelta(hours=6)
    profile: Duration = timedelta(hours=6)


class Freshness(Group):
    """The promises, source by source; a variable's name has no hyphen, so revento-user is `revento_user` here."""

    revento: ReventoFreshness = ReventoFreshness()
    revento_user: ReventoUserFreshness = ReventoUserFreshness()


class Removals(Group):
    """A row is hidden when so many certified walks in a row have missed it; a set of more than `min_rows` and more than
    `max_share` of a stream's rows, or of more than `max_rows`, waits for `syncd deletes accept`."""

    max_share: float = Field(default=0.2, ge=0, le=1)
    min_rows: int = Field(default=10, ge=0)
    max_rows: int = Field(default=500, ge=0)
    witnesses: int = Field(default=2, ge=1)


class Daemon(Group):
    """Seconds that work may take to end after SIGTERM, and that a lease lives without being renewed."""

    drain_s: float = Field(default=30, ge=0, allow_inf_nan=False)
    lease_s: float = Field(default=60, ge=1, allow_inf_nan=False)


class Dispatch(Group):
    """Installations that run at once in one process."""

    concurrency: int = Field(default=64, ge=1)


class Log(Group):
    """`auto` is text on a terminal and JSON elsewhere."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
