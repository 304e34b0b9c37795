"""A listener on this machine for the one redirect that ends a consent in the browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web

from syncd.errors import ConfigError, SyncdError

# A browser that keeps its connection open is not waited for.
CLOSE_WITHIN_S = 1.0
_HEAD = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


@asynccontextmanager
async def redirect_to(
    redirect_uri: str, read: Callable[[Mapping[str, str]], str | None]
) -> AsyncIterator[Awaitable[str]]:
    """Listen where a loopback `redirect_uri` leads; what is given out comes to what `read` makes of the first query it
    knows, or to the error that it raises. Any other request is answered and forgotten.

    Raises ConfigError when the port is taken.
    """
    parts = urlsplit(redirect_uri)
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.Response:
        if found.done():
            return _page("This answer came too late: one was there already.", 409)
        try:
            code = read({name: value for name, value in request.query.items() if len(request.query.getall(name)) == 1})
        except SyncdError as error:
            found.set_exception(error)
            return _page("The event is not connected; the terminal says why. You can close this window.", 200)
        if code is None:
            return _page("syncd waits for another answer than this one.", 400)
        found.set_result(code)
        return _page("Thank you. syncd goes on in the terminal; you can close this window.", 200)

    app = web.Application()
    app.router.add_get(parts.path or "/", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_WITHIN_S)  # its log would show the code
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, parts.hostname, parts.port or 80).start()
        except OSError as error:
            raise ConfigError(
                f"nothing can listen on {parts.hostname}:{parts.port or 80}, where revento.redirect_uri leads "
                f"({error.strerror})",
                hint="is `syncd serve` or another `syncd connect` there? End it, or register another redirect URI",
            ) from error
        yield found
    finally:
        await runner.cleanup()


def _page(sentence: str, status: int) -> web.Response:
    """Nothing of the request is repeated in it."""
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>syncd</title><p>{sentence}</p></html>'
    return web.Response(text=text, content_type="text/html", status=status, headers=_HEAD)
