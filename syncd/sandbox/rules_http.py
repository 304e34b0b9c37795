"""Good conduct of any call: version, request id, URL, redirects (contracts/revento.md §2, §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote_plus, urlsplit
from uuid import UUID

from syncd.sandbox.http import Reply
from syncd.sandbox.log import redact
from syncd.sandbox.visit import Memory, Visit

PINNED = "application/vnd.revento.v1+json"
REQUEST_ID = "x-revento-request-id"
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class PinnedVersion:
    """Each API call names version 1 in Accept, and nothing else."""

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`accept_not_pinned`."""
        accept = visit.request.headers.get("accept", "")
        named = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
        if visit.is_api and named != {PINNED}:
            yield "accept_not_pinned"

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Nothing to add."""
        return ()


class RequestIds:
    """Each API call carries a UUID of its own. The OAuth host asks for none, but one that is sent must be one."""

    def __init__(self) -> None:
        self._used: Memory[str, None] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`request_id_missing`, `request_id_not_uuid`, `request_id_repeated`."""
        given = visit.request.headers.get(REQUEST_ID)
        if given is None:
            if visit.is_api:
                yield "request_id_missing"
            return
        if not _is_uuid(given):
            yield "request_id_not_uuid"
        if given in self._used:
            yield "request_id_repeated"
        self._used[given] = None

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Nothing to add."""
        return ()


class CleanUrls:
    """Tokens and secrets travel in headers and bodies: URLs end up in logs."""

    def __init__(self, client_secret: Callable[[], str]) -> None:
        self._client_secret = client_secret

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`secret_in_url`."""
        url = unquote_plus(visit.url)
        if redact(url, self._client_secret()) != url:
            yield "secret_in_url"

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Nothing to add."""
        return ()


class Redirects:
    """The API has no redirects; one that comes from elsewhere may lead a token astray."""

    def __init__(self) -> None:
        self._given: Memory[tuple[str, str | None], None] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`redirect_followed`: the URL of an earlier Location, under the id of the call that got it."""
        if (visit.url, visit.request.headers.get(REQUEST_ID)) in self._given:
            yield "redirect_followed"

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Keep the targets that are ours; who went elsewhere is seen there."""
        headers = {name.lower(): value for name, value in reply.headers.items()}
        if reply.status in REDIRECTS and "location" in headers:
            target = urlsplit(headers["location"])
            if target.netloc in ("", visit.request.headers.get("host")):
                url = target.path + ("?" + target.query if target.query else "")
                self._given[(url, visit.request.headers.get(REQUEST_ID))] = None
        return ()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
