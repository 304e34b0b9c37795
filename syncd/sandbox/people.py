"""Participants and roles of one event, with the traps of contracts/revento.md §18 at fixed places.

Traps sit at fixed row numbers (`n % k == r`), so that a small world has them as surely as a large one; `n` 0 is
plain, as are rows created later. Everything else is drawn from the event's seeded generator.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from syncd.sandbox import names
from syncd.sandbox.clock import iso
from syncd.sandbox.collection import Json

STATUSES = ("approved",) * 7 + ("pending", "rejected", "revision_requested")
UNKNOWN_STATUS = "waitlisted"
# The undocumented status of someone who withdrew, where such rows stay (G20).
WITHDRAWN = "withdrawn"
PRONOUNS = ("they/them", None, "ona/jej")


def make_roles(rng: Random) -> list[Json]:
    """The four usual roles, whose ids repeat in every event, and two custom ones."""
    custom = rng.sample(names.CUSTOM_ROLES, 2)
    roles: list[Json] = [{"id": key, "name": name, "description": text} for key, name, text in names.ROLES]
    roles += [
        {"id": f"role_custom_{n}", "name": name, "description": f"{name} of this event"}
        for n, name in enumerate(custom)
    ]
    roles[-1]["badge_color"] = "#112233"
    return roles


def make_participant(rng: Random, n: int, row_id: str, roles: list[Json], *, created: datetime, day: datetime) -> Json:
    """One participant, created at `created` and, if at all, reviewed before `day`."""
    script = rng.choice(names.PEOPLE)
    name = f"{rng.choice(script[0])} {rng.choice(script[1])}"
    role = roles[0] if n == 0 or rng.random() < 0.85 else rng.choice(roles)
    row: Json = {
        "id": row_id,
        "user_id": f"usr_{rng.getrandbits(40):010x}",
        "display_name": name,
        "nickname": rng.choice(names.NICKNAMES),
        "organisation": rng.choice(names.ORGANISATIONS),
        "privacy_mode": n % 9 == 4,
        "role": {"id": role["id"], "name": role["name"]},
        "application_status": "approved",
        "real_name": name,
        "email": f"guest{n}.{rng.getrandbits(20):05x}@example.com",
        "admin_notes": rng.choice(names.NOTES) if n % 6 == 5 else None,
        "custom_form_fields": make_form(rng, n),
        **_review(rng, n, created, day),
    }
    return _with_gaps(row, n)


def make_form(rng: Random, n: int) -> Json:
    """Answers to the event's own form: any key, any JSON type."""
    if n % 20 == 13:
        return {}
    form: Json = {
        "favorite_track": rng.choice(names.TRACKS),
        "dietary_notes": rng.choice(names.DIETS),
        "arrival_day": rng.choice(names.DAYS),
        "years_attended": rng.randrange(12),
        "first_time": rng.random() < 0.3,
    }
    if n % 20 == 15:
        form |= {
            "": "empty key",
            "T-shirt size?": None,
            'quote"; DROP TABLE x;--': "odd key",
            "Favorite_Track": "same key in another case",
            "żółć.ключ.鍵": ["a", 1, None, True, {"deep": [[]]}],
            "emergency": {"name": "Kontakt 🚑", "phones": ["+48 600 000 000"], "consent": {"sms": True, "at": None}},
            "budget": 12.5,
            "big_number": 9_007_199_254_740_993,
        }
    return form


def _review(rng: Random, n: int, created: datetime, day: datetime) -> Json:
    """Status and its stamps, which agree with each other."""
    status = UNKNOWN_STATUS if n % 41 == 11 else rng.choice(STATUSES)
    reviewed = status in ("approved", "rejected", "revision_requested")
    at = iso(min(created + timedelta(hours=rng.randrange(1, 60)), day))
    return {
        "application_status": status,
        "last_reviewed_at": at if reviewed else None,
        "last_reviewer_id": f"usr_org_{rng.randrange(5)}" if reviewed else None,
        "last_review_action": status if reviewed else None,
        "registered_at": at if status == "approved" else None,
        "created_at": iso(created),
        "updated_at": at if reviewed else iso(created),
    }


def _with_gaps(row: Json, n: int) -> Json:
    """Missing, null and unknown fields: PII is there "where present" (§12.1)."""
    nulls = [("nickname", n % 4 == 2), ("organisation", n % 3 == 1), ("email", n % 10 == 7), ("real_name", n % 12 == 9)]
    gaps = [
        ("nickname", n % 14 == 1),
        ("organisation", n % 15 == 8),
        ("email", n % 10 == 3),
        ("real_name", n % 12 == 5),
    ]
    row |= {key: None for key, hit in nulls if hit}
    for key in (key for key, hit in gaps if hit):
        del row[key]
    if n % 16 == 6:
        row |= {"pronouns": PRONOUNS[n % 3], "badge": {"number": n, "printed": False}}
    return row
