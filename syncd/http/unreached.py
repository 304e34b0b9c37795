"""Why a request got no reply, in a person's words: which host, and what to look at. No URL: it may hold a secret."""

from __future__ import annotations

import aiohttp
import httpx

from syncd.errors import ConfigError, SyncdError, Transient

_ADDRESS = "is the address in the settings right, and this machine's network up?"


def host_of(request: httpx.Request) -> str:
    """Host and port that a request goes to, without the rest of its URL."""
    return request.url.netloc.decode()


def unreached(error: Exception, request: httpx.Request) -> SyncdError:
    """The error for a request that got no reply: Transient, or ConfigError where a repeat brings the same."""
    match error.__cause__ or error:
        case aiohttp.ClientHttpProxyError(status=407):
            return proxy_wants_login()
        case aiohttp.ClientHttpProxyError(status=status):
            return _transient(f"the proxy answered HTTP {status}", "see whether http.proxy lets this machine out")
        case aiohttp.ClientSSLError():
            return _transient(
                f"no TLS connection with {host_of(request)}",
                "does that port speak https, with a certificate that a known authority has signed?",
            )
        case aiohttp.ClientConnectorDNSError(host=host, port=port):
            return _transient(f"there is no host {host}{_of_proxy(host, port, request)}", _ADDRESS)
        case aiohttp.ClientConnectorError(host=host, port=port):
            return _transient(f"no connection to {host}:{port}{_of_proxy(host, port, request)}", _ADDRESS)
        case aiohttp.ConnectionTimeoutError():
            return _transient(f"no connection to {host_of(request)} in time", _ADDRESS)
    return _transient(f"the connection failed ({type(error).__name__})", None)


def proxy_wants_login() -> ConfigError:
    """The error for a proxy that lets nobody through without a name."""
    return ConfigError(
        "the proxy of http.proxy asks for a user and a password (HTTP 407)",
        hint="write user and password into http.proxy, before its host and with an @ behind them",
    )


def _of_proxy(host: str, port: int | None, request: httpx.Request) -> str:
    """Whom we tried to reach: where that is not where the request goes to, it is the proxy."""
    url = request.url
    goes_to = (url.host, url.port or (443 if url.scheme == "https" else 80))
    return "" if (host, port) == goes_to else ", the proxy of http.proxy"


def _transient(message: str, hint: str | None) -> Transient:
    return Transient(message, code="connection", hint=hint)
