"""Revento: an event with its participants and program, and what a participant shows alone (contracts/revento.md)."""

from syncd.sources.revento.me import SOURCE as USER_SOURCE
from syncd.sources.revento.streams import SOURCE

__all__ = ["SOURCE", "USER_SOURCE"]
