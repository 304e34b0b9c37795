"""The probes: `/livez` says that the process answers, `/readyz` that it can do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse


def make_app(complaints: Callable[[], Awaitable[list[str]]]) -> FastAPI:
    """The application; `complaints` yields what keeps the daemon from its work."""
    app = FastAPI(openapi_url=None)

    @app.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        reasons = await complaints()
        status = "not ready" if reasons else "ready"
        return JSONResponse({"status": status, "reasons": reasons}, status_code=503 if reasons else 200)

    return app
