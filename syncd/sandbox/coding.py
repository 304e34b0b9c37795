"""gzip as the API uses it, and gzip that breaks its reader."""

from __future__ import annotations

import gzip
import struct
import zlib

LEVEL = 1
HEADERS = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
MEMBER_START = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])
# A bomb's body is one valid page, most of it white space, so that nothing but its size gives it away.
PAGE_START, PAGE_END = b'{"data":[],"next_cursor":null,"has_more":false', b"}"
BLOCK = b" " * 1_048_576


def compressed(body: bytes) -> bytes:
    """The body in gzip coding."""
    return gzip.compress(body, LEVEL, mtime=0)


def bomb(inflated_bytes: int) -> bytes:
    """About a thousandth of `inflated_bytes`, which it inflates to. Made of one block of 1 MiB, compressed once."""
    blocks, rest = divmod(max(0, inflated_bytes - len(PAGE_START) - len(PAGE_END)), len(BLOCK))
    tail = BLOCK[:rest] + PAGE_END
    crc = zlib.crc32(PAGE_START)
    for _ in range(blocks):
        crc = zlib.crc32(BLOCK, crc)
    size = len(PAGE_START) + blocks * len(BLOCK) + len(tail)
    trailer = struct.pack("<II", zlib.crc32(tail, crc), size % 2**32)
    return MEMBER_START + _deflated(PAGE_START) + _deflated(BLOCK) * blocks + _deflated(tail, zlib.Z_FINISH) + trailer


def _deflated(part: bytes, end: int = zlib.Z_FULL_FLUSH) -> bytes:
    """A raw deflate stream of its own, which may be followed by another one unless it is the last."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(part) + deflate.flush(end)
