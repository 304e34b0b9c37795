"""The control port: JSON over HTTP for whoever drives the sandbox from another process.

`ORDERS` is the table of what can be asked; `syncd sandbox --control` prints it. Errors are `{"error": text}` with 400
(bad body) or 404 (no such thing).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from syncd.sandbox.collection import Json
from syncd.sandbox.gaps import GAPS
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.presets import PRESETS
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
        for order in ORDERS:
            if (parts := order.match(request)) is not None:
                return await order.act(self._sandbox, parts, _body(request), request)
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


async def _notes(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.notes()


async def _truth(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.world.truth()


async def _event_truth(sandbox: Sandbox, parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.world.events[parts["event_id"]].truth()


async def _connect(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    who = {name: body[name] for name in ("user_id", "participant_id") if body.get(name)}
    return sandbox.connect(body["event_id"], body.get("scopes"), **who)


async def _grants(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.tokens.listing()


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


async def _presets(_sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return [asdict(preset) for preset in PRESETS]


async def _make_appointment(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"id": sandbox.schedule.add(body)}


async def _appointments(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return sandbox.schedule.listing()


async def _cancel_appointments(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    sandbox.schedule.clear()
    return {}


async def _clock(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    sandbox.clock.advance(float(body["advance_s"]))
    return {"now": sandbox.clock.now(), "offset_s": sandbox.clock.offset_s}


async def _expire(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.expire_event(body["event_id"])}


async def _revoke(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.revoke_event(body["event_id"])}


async def _suspend(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.suspend_event(body["event_id"])}


async def _resume(sandbox: Sandbox, _parts: Parts, body: Json, _request: Request) -> object:
    return {"grants": sandbox.tokens.resume_event(body["event_id"])}


async def _rotate_client_secret(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return {"client_secret": sandbox.rotate_client_secret()}


async def _webhook_secrets(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return {"secrets": sandbox.developer.webhook_secrets()}


async def _life(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    return {"change": sandbox.world.live_once()}


async def _settings(sandbox: Sandbox, _parts: Parts, _body: Json, _request: Request) -> object:
    today = sandbox.settings.today and sandbox.settings.today.isoformat()
    where = {"api_url": sandbox.api_url, "auth_url": sandbox.auth_url, "event_ids": sandbox.event_ids}
    readings = {gap.id: sandbox.settings.reading(gap.id) for gap in GAPS}
    return {**asdict(sandbox.settings), "today": today, "gaps": readings, **where}


async def _configure(sandbox: Sandbox, parts: Parts, body: Json, request: Request) -> object:
    await sandbox.configure(**body)
    return await _settings(sandbox, parts, body, request)


Act = Callable[["Sandbox", Parts, Json, Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that can be asked on the control port, in words, and what does it."""

    method: str
    path: str
    body: str
    reply: str
    act: Act

    def match(self, request: Request) -> Parts | None:
        """The parts of the path when the request is of this kind."""
        names = "|".join(COLLECTIONS)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path).replace(
            "(?P<collection>[^/]+)", f"(?P<collection>{names})"
        )
        found = re.fullmatch(pattern, request.path) if request.method == self.method else None
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


ORDERS = (
    Order("GET", "/log", "?since=N", "the requests numbered above N; tokens as fingerprints", _log),
    Order("GET", "/notes", "", "what clients did that well-behaved ones do not: each code, its requests", _notes),
    Order("GET", "/truth", "", '{"events": [...]}, exactly as the API serves them', _truth),
    Order("GET", "/truth/{event_id}", "", "one event of them", _event_truth),
    Order(
        "POST",
        "/connect",
        '{"event_id", "user_id"|"participant_id"?, "scopes"?}',
        "the token response of a fresh grant: the event's, or with a person a user token",
        _connect,
    ),
    Order("GET", "/grants", "", "every grant and its state, without tokens", _grants),
    Order("POST", "/tokens/expire", '{"event_id"}', '{"grants": how many}; access tokens expire', _expire),
    Order("POST", "/tokens/revoke", '{"event_id"}', '{"grants": how many}; the organizer disconnects', _revoke),
    Order("POST", "/tokens/suspend", '{"event_id"}', '{"grants": how many}; calls are token_revoked', _suspend),
    Order("POST", "/tokens/resume", '{"event_id"}', '{"grants": how many}; the suspension ends', _resume),
    Order("POST", "/client-secret", "", '{"client_secret"}: rotated', _rotate_client_secret),
    Order("GET", "/webhook-secrets", "", '{"secrets": [...]} in force, the newest first', _webhook_secrets),
    Order("POST", "/events/{event_id}/{collection}", "fields", "the new row; the rest is made up", _create),
    Order("PATCH", "/events/{event_id}", 'fields, "$remove": [names]', "the changed event", _patch_event),
    Order("PATCH", "/events/{event_id}/{collection}/{id}", 'fields, "$remove": [names]', "the changed row", _patch),
    Order("DELETE", "/events/{event_id}", "", "{}", _delete_event),
    Order("DELETE", "/events/{event_id}/{collection}/{id}", "", "{}; a participant withdraws", _delete),
    Order("PUT", "/events/{event_id}/locations", '{"venues": [...]}', "the tree", _put_locations),
    Order("POST", "/life", "", '{"change"}: one random change happens now', _life),
    Order("POST", "/faults", "fields of a fault, or a preset", '{"id"}', _add_fault),
    Order("GET", "/faults/presets", "", "faults by name, and their fields", _presets),
    Order("GET", "/faults", "", "the faults, with seen and fired", _list_faults),
    Order("DELETE", "/faults", "", "{}; no fault any more", _clear_faults),
    Order(
        "POST",
        "/schedule",
        '{"endpoint", "nth", "act": {"method", "path", "body"?}, "when"?: "before"|"after"}',
        '{"id"}; the act, one of these requests, happens around that call',
        _make_appointment,
    ),
    Order("GET", "/schedule", "", "the acts, with seen, done, failed, status and reply", _appointments),
    Order("DELETE", "/schedule", "", "{}; nothing is scheduled any more", _cancel_appointments),
    Order("POST", "/clock", '{"advance_s"}', '{"now", "offset_s"}; everything ages', _clock),
    Order("GET", "/settings", "", "settings, api_url, auth_url, event_ids", _settings),
    Order("PATCH", "/settings", 'such as {"gaps": {"G3": "token"}}', "the same, changed", _configure),
)


def knows(method: str, path: str) -> bool:
    """Whether there is such a request, be it answered well or not."""
    request = Request(method, path, {}, "", {}, b"")
    return any(order.match(request) is not None for order in ORDERS)
