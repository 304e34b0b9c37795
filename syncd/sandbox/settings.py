"""What a sandbox is made of: sizes of its world, limits of its API, its client, and its readings of the gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Literal

from syncd.sandbox import gaps

# Who spends a budget: an installation token, a user token, or the developer's credentials (contracts/revento.md §2).
Kind = Literal["installation", "user", "developer"]
# The scopes that each kind of token can carry (§13).
SCOPES: Mapping[Kind, tuple[str, ...]] = {
    "installation": ("event.read", "participants.read", "program.read"),
    "user": ("profile.read", "event.attendance"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The three budgets of one installation (contracts/revento.md §8); 0 = no such limit."""

    per_hour: int = 500
    per_minute: int = 30
    in_flight: int = 5

    def __post_init__(self) -> None:
        for item in fields(self):
            require_amount(item.name, getattr(self, item.name))


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Frozen settings; times in seconds. `participants` and `activities` are counts per event.

    `port` and `control_port` 0 let the kernel choose. `today` anchors the event dates (default: the current UTC date);
    the world is a function of (`seed`, `today`, sizes). `life_s` 0 = the world stands still, else one small random
    change happens that often. `scopes` and `user_scopes` are what people grant, whatever is asked for. `consent` is
    what they answer at /oauth/authorize; `login_as` is the participant who signs in there (None: each event's first).
    `suspend_after_429s` 429 replies within a minute suspend the installation; 0 = never (§8).
    `gaps` chooses readings other than the default. `ValueError` for an unknown one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    seed: int = 1
    events: int = 3
    participants: int = 900
    activities: int = 200
    limits: Limits = field(default_factory=Limits)
    user_limits: Limits = field(default_factory=lambda: Limits(200, 20, 5))
    # The documents name none for the developer endpoints (G13).
    developer_limits: Limits = field(default_factory=lambda: Limits(60, 10, 2))
    suspend_after_429s: int = 0
    access_token_s: float = 3600
    refresh_token_s: float = 7_776_000
    cursor_s: float = 86_400
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox guards nothing
    integration_id: str = "int_sandbox"
    webhook_secret: str = "sandbox-webhook-secret"  # noqa: S105
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8440/oauth/revento/callback",)
    consent: Literal["grant", "deny"] = "grant"
    login_as: str | None = None
    life_s: float = 0
    latency_s: float = 0
    response_cap_bytes: int = 2_000_000
    scopes: tuple[str, ...] = SCOPES["installation"]
    user_scopes: tuple[str, ...] = SCOPES["user"]
    today: date | None = None
    gaps: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _AMOUNTS:
            require_amount(name, getattr(self, name))
        gaps.check(self.gaps)
        if self.consent not in {"grant", "deny"}:
            raise ValueError("consent is grant or deny")
        check_scopes(self.scopes, "installation")
        check_scopes(self.user_scopes, "user")

    def reading(self, gap_id: str) -> str:
        """The reading in force of a gap such as `G3`."""
        return self.gaps.get(gap_id) or gaps.BY_ID[gap_id].default

    def limits_of(self, kind: Kind) -> Limits:
        """The limits that a caller of this kind is held to."""
        if kind == "user":
            return self.user_limits
        return self.developer_limits if kind == "developer" and self.reading("G13") == "own" else self.limits


def require_amount(name: str, value: object) -> None:
    """Raises ValueError unless the value is a finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is a number, 0 or more, and not {value!r}")


_AMOUNTS = (
    *("participants", "activities", "events", "suspend_after_429s", "response_cap_bytes"),
    *("access_token_s", "refresh_token_s", "cursor_s", "life_s", "latency_s"),
)


def check_scopes(scopes: tuple[str, ...], kind: Kind) -> tuple[str, ...]:
    """The scopes; `ValueError`, which names what there is, when this kind of token cannot carry one of them."""
    if unknown := set(scopes) - set(SCOPES[kind]):
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(SCOPES[kind])}")
    return scopes
