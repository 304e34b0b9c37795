"""The bytes of a body, decoded from gzip where that was used, up to a bound."""

from __future__ import annotations

import zlib

from syncd.errors import ContractBreach, Transient


class Body:
    """Collects bytes. Raises ContractBreach when they become more than `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> None:
        """The next bytes as they came."""
        self._bytes += chunk
        if len(self._bytes) > self._most_bytes:
            raise ContractBreach(f"the reply is larger than {self._most_bytes} bytes", code="reply_too_large")

    def whole(self) -> bytes:
        """All of it, once the last bytes have come."""
        return bytes(self._bytes)


class GzipBody(Body):
    """Collects what gzip yields, and demands its end: a gzip body that was cut looks like a short one.

    Raises Transient when the coding is broken or cut.
    """

    def __init__(self, most_bytes: int) -> None:
        super().__init__(most_bytes)
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, chunk: bytes) -> None:
        """The next bytes as they came."""
        try:
            while chunk:
                # never more at once than what shows that it is too much
                super().feed(self._gzip.decompress(chunk, self._most_bytes - len(self._bytes) + 1))
                chunk = self._gzip.unconsumed_tail
        except zlib.error as error:
            raise Transient("the reply's gzip coding is broken", code="gzip") from error
        if self._gzip.unused_data:
            raise Transient("something follows the end of the reply's gzip coding", code="gzip")

    def whole(self) -> bytes:
        """All of it, once the last bytes have come."""
        if not self._gzip.eof:
            raise Transient("the reply's gzip coding was cut", code="gzip")
        return super().whole()


def body_for(coding: str, most_bytes: int) -> Body:
    """What collects a body of this content coding. Raises ContractBreach for one that was not asked for."""
    match coding.strip().lower():
        case "gzip":
            return GzipBody(most_bytes)
        case "" | "identity":
            return Body(most_bytes)
        case other:
            raise ContractBreach(f"the reply is coded as {other!r}, which was not asked for", code="content_encoding")
