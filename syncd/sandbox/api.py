"""The read API of contracts/revento.md §12.1: routes, admission of a call, and one small handler per endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from syncd.sandbox.clock import Clock
from syncd.sandbox.collection import Row
from syncd.sandbox.cursors import Binding, Cursors
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.log import fingerprint
from syncd.sandbox.refusals import API_MEDIA_TYPE, Refusal
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant, Tokens
from syncd.sandbox.world import Event, World

DEFAULT_LIMIT = 25
MAX_LIMIT = 50
ACCEPTED = re.compile(
    r"(application/vnd\.revento\.v1\+json|application/json|application/\*|\*/\*)\s*(;.*)?", re.IGNORECASE
)
# Listings whose last page still carries a cursor, as the contract permits (§9).
CURSOR_ON_LAST_PAGE = ("participants",)


@dataclass(frozen=True, slots=True)
class Call:
    """An API request with its route: `path` is below the API base, `endpoint` its template (None: no such path)."""

    request: Request
    path: str
    endpoint: str | None
    event_id: str | None = None
    activity_id: str | None = None

    @property
    def bearer(self) -> str:
        """The presented access token, empty when there is none."""
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Api:
    """Answers the read API from the world. `admit` first, then `handle`; both raise `Refusal`."""

    def __init__(
        self, world: World, tokens: Tokens, cursors: Cursors, clock: Clock, settings: Callable[[], SandboxSettings]
    ) -> None:
        self._world, self._tokens, self._cursors, self._clock = world, tokens, cursors, clock
        self._settings = settings

    def admit(self, call: Call, arrived_at: float) -> Grant:
        """The grant whose budgets now hold this call. Token first, then kind, route, version, event, scope and
        budget; nothing but the last is counted."""
        grant = self._tokens.authenticate(call.bearer)
        _check_kind(call)
        if call.request.method != "GET":
            raise Refusal("method_not_allowed")
        if call.endpoint is None:
            raise Refusal("resource_not_found")
        _check_version(call.request.headers.get("accept"))
        if call.event_id != grant.event_id:
            raise Refusal("event_not_authorized")
        if ENDPOINTS[call.endpoint][0] not in grant.scopes:
            raise Refusal("insufficient_scope")
        grant.budget.admit(self._settings().limits, arrived_at)
        return grant

    def handle(self, call: Call, grant: Grant) -> Reply:
        """The body of an admitted call; 413 when it would be larger than the cap (§10)."""
        event = self._world.events.get(grant.event_id)
        if event is None or call.endpoint is None:
            raise Refusal("resource_not_found")
        body = ENDPOINTS[call.endpoint][1](self, call, grant, event)
        if len(body) > self._settings().response_cap_bytes:
            raise Refusal("payload_too_large", "Reduce the limit and retry.")
        return Reply(200, body, {"Content-Type": API_MEDIA_TYPE})

    def page(self, call: Call, grant: Grant, event: Event, collection: str) -> bytes:
        """`{"data", "next_cursor", "has_more"}` in creation order, from a keyset position."""
        limit = _limit(call.request.query.get("limit"))
        binding = self._binding(call, grant, limit)
        now = self._clock.now()
        cursor = call.request.query.get("cursor")
        position = 0 if cursor is None else self._cursors.open(cursor, binding, now, self._settings().cursor_s)
        rows, more = event.lists[collection].after(position, limit)
        last = rows[-1].seq if rows else position
        follows = more or (last and collection in CURSOR_ON_LAST_PAGE)
        following = self._cursors.issue(binding, last, now) if follows else None
        tail = f',"next_cursor":{json.dumps(following)},"has_more":{json.dumps(more)}}}'
        return b'{"data":' + _array(rows) + tail.encode()

    def _binding(self, call: Call, grant: Grant, limit: int) -> Binding:
        settings = self._settings()
        owner = grant.id if settings.cursor_binding == "grant" else fingerprint(call.bearer)
        return Binding(call.endpoint or "", grant.event_id, owner, limit if settings.limit_in_cursor else None)


def route(request: Request, path: str) -> Call:
    """Find the template of a path below the API base."""
    for pattern, template in PATTERNS:
        if match := pattern.fullmatch(path):
            return Call(request, path, template, **match.groupdict())
    return Call(request, path, None)


def _check_kind(call: Call) -> None:
    """An installation token opens neither `/me` (403) nor the developer endpoints (401) (§2)."""
    if call.path.startswith("/me/"):
        raise Refusal("user_token_required")
    if call.path.startswith("/developer/"):
        raise Refusal("invalid_token", "Developer endpoints take client credentials.")


def _check_version(accept: str | None) -> None:
    """No header means the default version; otherwise one listed type must be ours (§7, G17)."""
    if accept is not None and not any(ACCEPTED.fullmatch(part.strip()) for part in accept.split(",")):
        raise Refusal("unsupported_version", "Only application/vnd.revento.v1+json is served.")


def _limit(text: str | None) -> int:
    """The page size; anything but 1 to 50 is `invalid_request` (G5)."""
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise Refusal("invalid_request", f"limit must be between 1 and {MAX_LIMIT}.")
    return int(text)


def _array(rows: Iterable[Row]) -> bytes:
    return b"[" + b",".join([row.body for row in rows]) + b"]"


def _read_event(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return event.row.body


def _list_participants(api: Api, call: Call, grant: Grant, event: Event) -> bytes:
    return api.page(call, grant, event, "participants")


def _list_activities(api: Api, call: Call, grant: Grant, event: Event) -> bytes:
    return api.page(call, grant, event, "activities")


def _read_activity(_api: Api, call: Call, _grant: Grant, event: Event) -> bytes:
    activities = event.lists["activities"]
    if call.activity_id is None or call.activity_id not in activities:
        raise Refusal("resource_not_found")
    return activities.get(call.activity_id).body


def _list_roles(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + _array(event.lists["roles"]) + b"}"


def _list_threads(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + _array(event.lists["threads"]) + b"}"


def _list_waves(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + _array(event.lists["registration-waves"]) + b"}"


def _read_locations(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return event.locations.body


def _read_program(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    """Threads with their activities; an activity without a thread is in no branch of this tree."""
    branches: dict[str, list[Row]] = {row.value["id"]: [] for row in event.lists["threads"]}
    for row in event.lists["activities"]:
        thread = row.value.get("thread")
        if thread is not None and thread["id"] in branches:
            branches[thread["id"]].append(row)
    threads = [
        row.body[:-1] + b',"activities":' + _array(branches[row.value["id"]]) + b"}" for row in event.lists["threads"]
    ]
    return b'{"threads":[' + b",".join(threads) + b"]}"


Handler = Callable[[Api, Call, Grant, Event], bytes]

# Path template -> the scope that opens it, its handler (§12.1, §13).
ENDPOINTS: dict[str, tuple[str, Handler]] = {
    "/events/{event_id}": ("event.read", _read_event),
    "/events/{event_id}/participants": ("participants.read", _list_participants),
    "/events/{event_id}/roles": ("participants.read", _list_roles),
    "/events/{event_id}/program": ("program.read", _read_program),
    "/events/{event_id}/activities": ("program.read", _list_activities),
    "/events/{event_id}/activities/{activity_id}": ("program.read", _read_activity),
    "/events/{event_id}/locations": ("program.read", _read_locations),
    "/events/{event_id}/threads": ("program.read", _list_threads),
    "/events/{event_id}/registration-waves": ("program.read", _list_waves),
}
PATTERNS = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), template) for template in ENDPOINTS]
