"""The floor: what a competent engineer writes in an afternoon. One table, one page after another, no more than that.

No ledger, no certificate, no resumption, no pacing, no retry, no judgement of a value; fields without a column are
lost. `python -m tests.bench.floor` reads FLOOR_API_URL, FLOOR_EVENT_ID, FLOOR_TOKEN, FLOOR_DATABASE_URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb

PAGE_SIZE = 50

# The columns that syncd has in revento.participants and revento.participant_private, and when the row was written.
TABLE = """
    CREATE TABLE IF NOT EXISTS participants (
        event_id text, participant_id text, user_id text, privacy_mode boolean, role_id text, application_status text,
        last_reviewed_at timestamptz, last_reviewer_id text, last_review_action text, registered_at timestamptz,
        created_at timestamptz, updated_at timestamptz, display_name text, nickname text, organisation text,
        real_name text, email text, admin_notes text, custom_form_fields jsonb,
        synced_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (event_id, participant_id)
    )
"""
COLUMNS = (
    "event_id", "participant_id", "user_id", "privacy_mode", "role_id", "application_status", "last_reviewed_at",
    "last_reviewer_id", "last_review_action", "registered_at", "created_at", "updated_at", "display_name", "nickname",
    "organisation", "real_name", "email", "admin_notes", "custom_form_fields",
)  # fmt: skip
UPSERT = f"""
    INSERT INTO participants ({", ".join(COLUMNS)}) VALUES ({", ".join(f"%({name})s" for name in COLUMNS)})
    ON CONFLICT (event_id, participant_id)
    DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS[2:])}, synced_at = now()
"""


def main() -> None:
    """Copy all participants of one event, with a commit after each page."""
    event_id = os.environ["FLOOR_EVENT_ID"]
    headers = {"Authorization": f"Bearer {os.environ['FLOOR_TOKEN']}"}
    with (
        httpx.Client(base_url=os.environ["FLOOR_API_URL"], headers=headers) as client,
        psycopg.connect(os.environ["FLOOR_DATABASE_URL"]) as connection,
    ):
        connection.execute(TABLE)
        for page in pages(client, f"/events/{event_id}/participants"):
            connection.cursor().executemany(UPSERT, [values(event_id, row) for row in page])
            connection.commit()


def pages(client: httpx.Client, path: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a listing, page by page."""
    query: dict[str, str | int] = {"limit": PAGE_SIZE}
    while True:
        page = client.get(path, params=query).raise_for_status().json()
        yield page["data"]
        if not page["has_more"]:
            return
        query["cursor"] = page["next_cursor"]


def values(event_id: str, row: dict[str, Any]) -> dict[str, Any]:
    """One row as the parameters of UPSERT."""
    return {
        **{name: row.get(name) for name in COLUMNS},
        "event_id": event_id,
        "participant_id": row["id"],
        "role_id": row["role"] and row["role"]["id"],
        "custom_form_fields": Jsonb(row.get("custom_form_fields")),
    }


if __name__ == "__main__":
    main()
