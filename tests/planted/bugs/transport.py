"""What a reply, or none, may do to us (docs/faults.md 1-18): each bug takes one of the bounds or judgements away."""

from __future__ import annotations

from tests.planted.bug import Bug

_API, _CLIENT, _BODY = "syncd/http/api.py", "syncd/http/client.py", "syncd/http/body.py"
_CONNECTION, _REPLY, _TOKENS = "syncd/http/connection.py", "syncd/wire/reply.py", "syncd/http/token_endpoint.py"
_WIRE_CUTS = "tests/http/test_wire_cuts.py"
_OF_FAILURES = "tests/sync/test_failures.py"
_OF_CLIENT, _OF_REPLIES, _HOSTILE = (f"tests/http/test_{name}.py" for name in ("client", "replies", "hostile"))

BUGS = (
    Bug(
        "the transport repeats a broken GET by itself",
        _CLIENT, "session._retry_connection = False", "session._retry_connection = True",
        (f"{_OF_CLIENT}::test_a_broken_connection_is_not_asked_again_behind_our_back",), (3, 15),
    ),
    Bug(
        "a broken connection is final",
        "syncd/http/unreached.py", 'return Transient(message, code="connection", hint=hint)',
        'return ConfigError(message, hint=hint)',
        (f"{_OF_REPLIES}::test_a_reset_at_any_byte_is_asked_again",
         f"{_OF_FAILURES}::test_a_server_that_nobody_runs_ends_with_75"), (1, 3),
    ),
    Bug(
        "who a server is is not asked",
        _CLIENT, "            proxy=_proxy(proxy) if proxy else None,\n",
        "            proxy=_proxy(proxy) if proxy else None,\n            verify=False,\n",
        (f"{_OF_CLIENT}::test_a_server_that_cannot_prove_who_it_is_is_told_nothing",), (2,),
    ),
    Bug(
        "a body that was cut is taken as it is",
        _CLIENT, "                async for chunk in self._response.aiter_raw():\n"
        "                    body.feed(chunk)\n                    earn(len(chunk))\n",
        "                try:\n                    async for chunk in self._response.aiter_raw():\n"
        "                        body.feed(chunk)\n                        earn(len(chunk))\n"
        "                except (httpx.HTTPError, aiohttp.ClientError):\n                    pass\n",
        (f"{_OF_CLIENT}::test_a_body_that_is_shorter_than_it_says_is_no_reply",
         f"{_OF_CLIENT}::test_a_chunked_body_that_is_cut_anywhere_is_no_reply"), (4,),
    ),
    Bug(
        "a page without has_more is the last one",
        _REPLY, "    if paged and listing.has_more is msgspec.UNSET:\n"
        "        raise _breach(reply, \"$.has_more is missing\")\n", "",
        ("tests/wire/test_reply.py", "tests/sources/revento/test_shapes.py"), (5,),
    ),
    Bug(
        "a reset is the end of a body that has no length",
        _CONNECTION, "if exc is not None and self._payload is not None and not self._payload.is_eof():", "if False:",
        (f"{_WIRE_CUTS}::test_a_reply_that_is_cut_at_any_byte_is_asked_again",), (3, 5),
    ),
    Bug(
        "the end of gzip is not waited for",
        _BODY, "        if not self._gzip.eof:\n"
        "            raise Transient(\"the reply's gzip coding was cut\", code=\"gzip\")\n", "",
        (f"{_OF_CLIENT}::test_a_gzip_body_that_is_cut_anywhere_is_no_reply",), (6,),
    ),
    Bug(
        "what inflates is not counted",
        _BODY, "if len(self._bytes) > self._most_bytes:", "if False:",
        (f"{_OF_CLIENT}::test_the_largest_reply_fits",), (7,),
    ),
    Bug(
        "gzip is inflated at one go",
        _BODY, "self._gzip.decompress(chunk, self._most_bytes - len(self._bytes) + 1)", "self._gzip.decompress(chunk)",
        (f"{_OF_CLIENT}::test_a_bomb_takes_little_memory",), (7,),
    ),
    Bug(
        "bytes on the wire are not counted",
        _CONNECTION, "if self._wire_bytes > self._bounds.wire_bytes:", "if False:",
        (f"{_OF_CLIENT}",), (7,),
    ),
    Bug(
        "a trickle has all the time of the deadline",
        _CLIENT, "patience.reschedule(min(until, now() + bounds.patience_s))",
        "patience.reschedule(now() + bounds.deadline_s)",
        (f"{_OF_CLIENT}::test_a_body_that_trickles_is_given_up_long_before_the_deadline",), (8,),
    ),
    Bug(
        "there is no deadline",
        _CLIENT, "async with asyncio.timeout(client.bounds.deadline_s):", "async with asyncio.timeout(None):",
        (f"{_OF_CLIENT}::test_a_trickle_ends_at_the_deadline",), (8,),
    ),
    Bug(
        "a head has no bound",
        _CONNECTION, "if self._head_bytes + rest > self._bounds.head_bytes:", "if False:",
        (f"{_OF_CLIENT}",), (9,),
    ),
    Bug(
        "a folded header line is taken",
        _CONNECTION, "if _BARE_OR_FOLDED.search(head):", "if False:",
        (f"{_OF_CLIENT}",), (9,),
    ),
    Bug(
        "the first line of a reply may be in any coding",
        _CONNECTION, "if not head[: head.index(b\"\\n\")].isascii():", "if False:",
        (f"{_OF_CLIENT}::test_what_is_no_http_is_no_reply",), (9,),
    ),
    Bug(
        "any media type is parsed",
        _API, "if incoming.status == 200 and media_type != self.dialect.media_type:", "if False:",
        ("tests/http/test_replies.py", "tests/http/test_api.py::test_another_media_type_is_no_reply"), (10,),
    ),
    Bug(
        "a listing without data is an empty one",
        _REPLY, "    data: list[msgspec.Raw]\n", "    data: list[msgspec.Raw] = []\n",
        ("tests/wire/test_reply.py", "tests/sources/revento/test_shapes.py"), (11,),
    ),
    Bug(
        "redirects are followed",
        _CLIENT, "follow_redirects=False,", "follow_redirects=True,",
        (f"{_OF_REPLIES}", f"{_OF_CLIENT}::test_no_redirect_is_followed"), (12,),
    ),
    Bug(
        "a reply under another request's id is taken",
        _API, "if echo is not None and echo != str(record.request_id):", "if False:",
        (f"{_OF_REPLIES}::test_a_reply_with_another_echo_is_discarded_with_its_connection",), (13,),
    ),
    Bug(
        "what follows a reply is left for the next call",
        _CONNECTION, "elif data and self._payload is not None and self._payload.is_eof():", "elif False:",
        (f"{_OF_REPLIES}::test_what_follows_a_reply_ends_its_connection",), (13,),
    ),
    Bug(
        "a connection is kept though its reply was refused",
        _CLIENT, "            except BaseException:\n                incoming.drop()\n                raise\n",
        "            except BaseException:\n                raise\n",
        (f"{_OF_REPLIES}::test_a_reply_with_another_echo_is_discarded_with_its_connection",), (13,),
    ),
    Bug(
        "a copy that a cache kept is taken",
        _API, "        if stale:\n            self._discard", "        if False:\n            self._discard",
        (f"{_OF_REPLIES}::test_a_copy_that_a_cache_kept_is_asked_for_again",), (14,),
    ),
    Bug(
        "a refresh goes over a kept connection",
        _TOKENS, "keep_connection=False", "keep_connection=True",
        (f"{_OF_REPLIES}::test_a_refresh_leaves_no_connection_for_the_next_one",), (15,),
    ),
    Bug(
        "the environment names the proxy",
        _CLIENT, "session._cookie_jar = aiohttp.DummyCookieJar()\n",
        "session._cookie_jar = aiohttp.DummyCookieJar()\n        session._trust_env = True\n",
        (f"{_OF_CLIENT}::test_no_proxy_of_the_environment_is_used",), (16,),
    ),
    Bug(
        "a proxy that asks who we are is asked again",
        "syncd/http/client.py", "if response.status_code == 407:", "if False:",
        (f"{_OF_CLIENT}::test_a_proxy_that_asks_who_we_are_is_a_mistake_in_the_settings",), (16,),
    ),
    Bug(
        "in an outage calls are repeated as ever",
        "syncd/wire/retry.py", "case Transient() if outage:", "case Transient() if False:",
        (f"{_OF_FAILURES}::test_in_an_outage_each_stream_asks_once_and_nothing_is_repeated",), (17,),
    ),
    Bug(
        "an answer does not end an outage",
        "syncd/http/outage.py", "            self._failures = 0\n        else:\n", "            pass\n        else:\n",
        (f"{_OF_FAILURES}::test_in_an_outage_each_stream_asks_once_and_nothing_is_repeated",
         f"{_OF_FAILURES}::test_an_event_that_is_broken_for_good_takes_no_other_with_it"), (17,),
    ),
    Bug(
        "many calls that fail at once are an outage",
        "syncd/http/outage.py", " and self._latest - self._since >= SHORTEST_OUTAGE_S", "",
        ("tests/http/test_api.py::test_a_moment_in_which_many_calls_fail_at_once_is_no_outage",), (17,),
    ),
    Bug(
        "an outage is never forgotten",
        "syncd/http/outage.py", "if self._failures == 0 or now - self._latest > FORGOTTEN_AFTER_S:",
        "if self._failures == 0:",
        ("tests/http/test_api.py::test_an_outage_that_nobody_has_looked_at_for_long_is_forgotten",), (17,),
    ),
    Bug(
        "a pool lets a hundred calls pass",
        _CLIENT, "max_connections=0,", "max_connections=None,",
        (f"{_OF_CLIENT}::test_no_call_waits_for_a_connection",), (18,),
    ),
    Bug(
        "each call has a pool of its own",
        _CLIENT, "        response: httpx.Response = await super().handle_async_request(request)\n",
        "        self.client, self.left = None, [*getattr(self, 'left', ()), self.client]\n"
        "        response: httpx.Response = await super().handle_async_request(request)\n",
        (f"{_OF_CLIENT}::test_a_storm_of_cancelled_calls_leaks_no_socket",), (18,),
    ),
)  # fmt: skip
