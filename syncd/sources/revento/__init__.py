"""Revento: an event, its participants and its program (contracts/revento.md)."""

from syncd.sources.revento.streams import SOURCE

__all__ = ["SOURCE"]
