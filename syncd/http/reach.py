"""Whether a host can be reached at all: a connection and its TLS, without spending a call."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import httpx

from syncd.errors import Transient
from syncd.http.bounds import Bounds

CONNECT_TIMEOUT_S = Bounds().connect_s


async def reach(host: str, port: int, *, tls: bool) -> float:
    """Seconds until a connection stood, trusting whom our calls trust. Raises Transient in plain words."""
    context = httpx.create_ssl_context(trust_env=False) if tls else None
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError as error:
        raise Transient(f"no connection within {CONNECT_TIMEOUT_S:.0f} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Transient(f"its certificate is not trusted: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Transient(f"TLS fails: {error.reason or error}") from error
    except OSError as error:
        raise Transient(f"no connection: {error.strerror or error}") from error
    took_s = loop.time() - began
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return took_s
