"""Who is compared: how each is set up in its database, called, and asked for what it has stored."""

from __future__ import annotations

import base64
import json
from typing import Protocol

from tests.bench.processes import BenchFailed, Command, Ended, run
from tests.bench.remote import Remote

KEYS = "k1:" + base64.b64encode(b"k" * 32).decode()

# Equal for equal content; a text each, so that nothing depends on how a table is laid out.
DIGEST = """
    count(*), md5(string_agg(md5(concat_ws('|', participant_id, user_id, privacy_mode, role_id, application_status,
    last_reviewed_at, registered_at, created_at, updated_at, display_name, nickname, organisation, real_name, email,
    admin_notes, custom_form_fields)), '' ORDER BY participant_id COLLATE "C"))
"""


class Contender(Protocol):
    """One way to copy the participants of an event into a database."""

    name: str
    stored: str  # the query for how many rows of an event are stored, and their digest

    def set_up(self, url: str, remotes: tuple[Remote, ...]) -> None:
        """Prepare an empty database for these events; not measured."""

    def command(self, url: str, remote: Remote) -> Command:
        """The command that is measured."""

    def check(self, ended: Ended, *, rows: int, new: int) -> None:
        """Raise BenchFailed unless it says that it met so many rows, and so many new ones."""


class Syncd:
    """The real command, as an operator types it."""

    name = "syncd"
    stored = f"""
        SELECT {DIGEST} FROM revento.participants JOIN revento.participant_private USING (participant_key)
        WHERE event_id = %s
    """

    def set_up(self, url: str, remotes: tuple[Remote, ...]) -> None:
        """Migrate the database and add the installations."""
        run(Command(("-m", "syncd", "db", "upgrade"), self._variables(url)))
        for remote in remotes:
            urls = ("--api-url", remote.api_url, "--auth-url", remote.auth_url)
            add = ("-m", "syncd", "installations", "add", "revento", "--credentials", "-", "--no-check", *urls)
            run(Command(add, self._variables(url), json.dumps(remote.token())))

    def command(self, url: str, remote: Remote) -> Command:
        """One round of one stream."""
        asked = ("sync", f"revento/{remote.event_id}", "--stream", "participants", "--json")
        return Command(("-m", "syncd", *asked), self._variables(url))

    def check(self, ended: Ended, *, rows: int, new: int) -> None:
        """The books of its result must say so (docs/interface.md §4)."""
        (stream,) = json.loads(ended.out.splitlines()[-1])["streams"]
        books = {name: stream[name] for name in ("status", "seen", "inserted", "unchanged")}
        if books != {"status": "certified", "seen": rows, "inserted": new, "unchanged": rows - new}:
            raise BenchFailed(f"syncd met {books}, not {rows} rows of which {new} are new")

    def _variables(self, url: str) -> dict[str, str]:
        return {
            "SYNCD_DATABASE__URL": url,
            "SYNCD_SECURITY__ENCRYPTION_KEYS": KEYS,
            "SYNCD_REVENTO__CLIENT_ID": "sandbox-client",
            "SYNCD_REVENTO__CLIENT_SECRET": "sandbox-secret",
            "SYNCD_REVENTO__LIMITS__PER_HOUR": "0",
            "SYNCD_REVENTO__LIMITS__PER_MINUTE": "0",
        }


class Floor:
    """`tests.bench.floor`: it makes its table itself, and says nothing."""

    name = "floor"
    stored = f"SELECT {DIGEST} FROM participants WHERE event_id = %s"

    def set_up(self, url: str, remotes: tuple[Remote, ...]) -> None:
        """Nothing."""

    def command(self, url: str, remote: Remote) -> Command:
        """One run."""
        variables = {
            "FLOOR_DATABASE_URL": url,
            "FLOOR_API_URL": remote.api_url,
            "FLOOR_EVENT_ID": remote.event_id,
            "FLOOR_TOKEN": remote.token()["access_token"],
        }
        return Command(("-m", "tests.bench.floor"), variables)

    def check(self, ended: Ended, *, rows: int, new: int) -> None:
        """Nothing but what is stored tells."""


CONTENDERS: tuple[Contender, ...] = (Syncd(), Floor())
