"""A token's short name, for logs and tables."""

from __future__ import annotations

import hashlib


def fingerprint(token: str) -> str:
    """A short name for a token, from which the token cannot be had."""
    return hashlib.blake2b(token.encode(), digest_size=6, person=b"syncd-token").hexdigest()
