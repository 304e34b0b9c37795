"""What a sandbox is made of: sizes of its world, limits of its API, and its readings of the contract's gaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limits:
    """The three budgets of one installation (contracts/revento.md §8); 0 = no such limit."""

    per_hour: int = 500
    per_minute: int = 30
    in_flight: int = 5


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Frozen settings; times in seconds. `participants` and `activities` are counts per event.

    `port` and `control_port` 0 let the kernel choose. `today` anchors the event dates (default: the current UTC date);
    the world is a function of (`seed`, `today`, sizes). `life_s` 0 = the world stands still, else one small random
    change happens that often. `cursor_binding`, `limit_in_cursor` and `reuse` choose the readings of G3, G2 and G7.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    seed: int = 1
    events: int = 3
    participants: int = 900
    activities: int = 200
    limits: Limits = field(default_factory=Limits)
    access_token_s: float = 3600
    refresh_token_s: float = 7_776_000
    cursor_s: float = 86_400
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox guards nothing
    life_s: float = 0
    latency_s: float = 0
    response_cap_bytes: int = 2_000_000
    scopes: tuple[str, ...] = ("event.read", "participants.read", "program.read")
    today: date | None = None
    cursor_binding: Literal["grant", "token"] = "grant"
    limit_in_cursor: bool = False
    reuse: Literal["revoke", "grace"] = "revoke"
