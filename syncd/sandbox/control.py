"""The control port: JSON over HTTP for whoever drives the sandbox from another process.

| Request | Body | Reply |
|---|---|---|
| GET /log?since=N | | the requests numbered above N (`syncd.sandbox.log.Entry`; never a token, only its fingerprint) |
| GET /truth, GET /truth/{event_id} | | `{"events": [...]}`, or one event, exactly as the API serves it |
| POST /connect | `{"event_id", "scopes"?}` | a fresh grant's token response |
| POST /events/{event_id}/{collection} | fields | the new row; what is not given is made up |
| PATCH /events/{event_id}[/{collection}/{id}] | fields, `"$remove": [names]` | the changed object |
| DELETE /events/{event_id}[/{collection}/{id}] | | `{}` |
| PUT /events/{event_id}/locations | `{"venues": [...]}` | the tree |
| POST /faults | `syncd.sandbox.faults.Fault` | `{"id"}` |
| GET /faults, DELETE /faults | | the faults with `seen` and `fired`; `{}` |
| POST /clock | `{"advance_s"}` | `{"now", "offset_s"}` |
| POST /tokens/expire, POST /tokens/revoke | `{"event_id"}` | `{"grants": how many}` |
| POST /life | | `{"change"}`: one random change happens now |
| GET /settings, PATCH /settings | changes | settings, `api_url`, `auth_url`, `event_ids` |

`collection` is participants, activities, roles, threads or registration-waves. Errors are `{"error": text}` with 400
(bad body), 404 (no such thing) or 405.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from syncd.sandbox.collection import Json
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.refusals import PLAIN_JSON
from syncd.sandbox.world import COLLECTIONS

if TYPE_CHECKING:
    from syncd.sandbox.server import Sandbox


class Control:
    """Routes control requests to the sandbox's own methods."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def respond(self, request: Request) -> Reply:
        """Answer one control request."""
        try:
            return _json(200, await self._act(request))
        except KeyError as error:
            return _json(404, {"error": f"no such thing: {error.args[0]}"})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})

    async def _act(self, request: Request) -> object:
        for method, pattern, act in ACTS:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                parts = {name: unquote(value) for name, value in match.groupdict().items()}
                return await act(self._sandbox, parts, _body(request), request)
        raise KeyError(f"{request.method} {request.path}")


def _body(request: Request) -> Json:
    body = json.loads(request.body) if request.body else {}
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def _json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), {"Content-Type": PLAIN_JSON})


Parts = dict[str, str]


async def _log(sandbox: Sandbox, _parts: Parts, _body: Json, request: Request) -> object:
    return sandbox.log(int(request.query.get("since", "0")))


async def _truth(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.world.truth()


async def _event_truth(sandbox: Sandbox, parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.world.events[parts["event_id"]].truth()


async def _connect(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return sandbox.connect(body["event_id"], body.get("scopes"))


async def _create(sandbox: Sandbox, parts: Parts, body: Json, _request: Request) -> object:
    return sandbox.world.create(parts["event_id"], parts["collection"], body)


async def _patch_event(sandbox: Sandbox, parts: Parts, body: Json, _request: Request) -> object:
    return sandbox.world.patch_event(parts["event_id"], body)


async def _patch(sandbox: Sandbox, parts: Parts, body: Json, _request: Request) -> object:
    return sandbox.world.patch(parts["event_id"], parts["collection"], parts["id"], body)


async def _delete_event(sandbox: Sandbox, parts: Parts, _body: Json, _request: Request) -> object:
    sandbox.world.delete_event(parts["event_id"])
    return {}


async def _delete(sandbox: Sandbox, parts: Parts, _body: Json, _request: Request) -> object:
    sandbox.world.delete(parts["event_id"], parts["collection"], parts["id"])
    return {}


async def _put_locations(sandbox: Sandbox, parts: Parts, body: Json, _request: Request) -> object:
    return sandbox.world.put_locations(parts["event_id"], body)


async def _add_fault(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"id": sandbox.faults.add(body)}


async def _list_faults(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.faults.listing()


async def _clear_faults(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    sandbox.faults.clear()
    return {}


async def _clock(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    sandbox.clock.advance(float(body["advance_s"]))
    return {"now": sandbox.clock.now(), "offset_s": sandbox.clock.offset_s}


async def _expire(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.expire_event(body["event_id"])}


async def _revoke(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.revoke_event(body["event_id"])}


async def _life(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return {"change": sandbox.world.live_once()}


async def _settings(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    today = sandbox.settings.today and sandbox.settings.today.isoformat()
    where = {"api_url": sandbox.api_url, "auth_url": sandbox.auth_url, "event_ids": sandbox.event_ids}
    return {**asdict(sandbox.settings), "today": today, **where}


async def _configure(sandbox: Sandbox, parts: Parts, body: Json, request: Request) -> object:
    await sandbox.configure(**body)
    return await _settings(sandbox, parts, body, request)


Act = Callable[["Sandbox", Parts, Json, Request], Awaitable[Any]]

EVENT = r"/events/(?P<event_id>[^/]+)"
LISTING = EVENT + rf"/(?P<collection>{'|'.join(COLLECTIONS)})"
ROW = LISTING + r"/(?P<id>[^/]+)"

ACTS: list[tuple[str, re.Pattern[str], Act]] = [
    (method, re.compile(path), act)
    for method, path, act in (
        ("GET", "/log", _log),
        ("GET", "/truth", _truth),
        ("GET", r"/truth/(?P<event_id>[^/]+)", _event_truth),
        ("POST", "/connect", _connect),
        ("POST", LISTING, _create),
        ("PATCH", EVENT, _patch_event),
        ("PATCH", ROW, _patch),
        ("DELETE", EVENT, _delete_event),
        ("DELETE", ROW, _delete),
        ("PUT", EVENT + "/locations", _put_locations),
        ("POST", "/faults", _add_fault),
        ("GET", "/faults", _list_faults),
        ("DELETE", "/faults", _clear_faults),
        ("POST", "/clock", _clock),
        ("POST", "/tokens/expire", _expire),
        ("POST", "/tokens/revoke", _revoke),
        ("POST", "/life", _life),
        ("GET", "/settings", _settings),
        ("PATCH", "/settings", _configure),
    )
]
