"""Mistakes about tokens, scopes and consents."""

from __future__ import annotations

from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme

ADD = "syncd installations add revento --credentials token.json"
SYNC = "syncd sync --stream event"
LONG_AGO = "2020-01-01T00:00:00Z"
AGAIN = "have the event connected again, and `syncd installations add` the new credentials"
ASK = "ask whoever consented to do so again, then `syncd installations add` with the new credentials"


def nothing_is_stored(scene: Scene) -> None:
    assert scene.query("SELECT name FROM syncd.installations") == []


def is_parked(scene: Scene) -> None:
    """The next round makes no call, and what was copied stays."""
    assert scene.query("SELECT state FROM syncd.installations") == [("needs_consent",)]


def refused(scene: Scene, code: str) -> None:
    """The API answers with this code."""
    scene.give()
    scene.fault(error=code)


def revoked(scene: Scene) -> None:
    scene.connect()
    scene.remote.control("POST", "/tokens/revoke", {"event_id": scene.remote.event_id})


def parked(scene: Scene) -> None:
    scene.connect()
    scene.query("UPDATE syncd.installations SET state = 'needs_consent'")


THEME = Theme(
    "Tokens, scopes and consents",
    (
        Mistake(
            "A token that Revento does not know",
            ADD,
            "Revento does not know this access token (invalid_token)",
            AGAIN,
            4,
            "The token is mistyped, or of another environment. Nothing is stored.",
            lambda scene: scene.give(access_token=f"rev_install_{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "A consent that was revoked",
            SYNC,
            "revento/‹event id› event: the access token was revoked by the organizer or by Revento, or the connection "
            "is suspended (token_revoked)",
            "where `syncd installations list` says suspended, work goes on by itself when that is over; otherwise ask "
            f"the organizer why, then {AGAIN}",
            4,
            "The organizer has disconnected the event, or Revento has. The installation is parked: no further call is "
            "made until new credentials are added; what was copied stays.",
            revoked,
            is_parked,
        ),
        Mistake(
            "A consent that is still missing",
            SYNC,
            "revento/‹event id› waits for a new consent",
            ASK,
            4,
            "An earlier round has found the consent dead.",
            parked,
            is_parked,
        ),
        Mistake(
            "A refresh token that is no longer good",
            SYNC,
            "revento/‹event id› event: the refresh token is refused (invalid_grant)",
            ASK,
            4,
            "It was used elsewhere, has expired, or belongs to another client.",
            lambda scene: scene.connect(refresh_token=f"rev_refresh_{CANARY}", obtained_at=LONG_AGO),
            is_parked,
        ),
        Mistake(
            "An expired token without a refresh token",
            SYNC,
            "revento/‹event id› event: the access token has expired and there is no refresh token",
            ASK,
            4,
            "Without a refresh token the credentials last as long as the access token, about an hour.",
            lambda scene: scene.connect(refresh_token=None, obtained_at=LONG_AGO),
            is_parked,
        ),
        Mistake(
            "A token of another event",
            ADD,
            "the token belongs to another event (event_not_authorized)",
            f"give the token reply whole, with the event_id that came with it, or {AGAIN}",
            4,
            "Token and event_id come from two different replies. Nothing is stored.",
            lambda scene: scene.give(event_id="evt_another"),
            nothing_is_stored,
        ),
        Mistake(
            "A participant's token for an installation",
            ADD,
            "a participant's token was used where an installation token is needed (installation_token_required)",
            "give the token reply that an organizer's consent to the event brought, not a participant's",
            4,
            "There are two kinds of tokens; a participant's opens only what that participant sees. (The test lets the "
            "sandbox answer so.)",
            lambda scene: refused(scene, "installation_token_required"),
            nothing_is_stored,
        ),
        Mistake(
            "An installation token for a participant",
            ADD,
            "an installation token was used where a participant's token is needed (user_token_required)",
            "give the token reply that a participant's consent brought, not an organizer's",
            4,
            "The reverse. (The test lets the sandbox answer so.)",
            lambda scene: refused(scene, "user_token_required"),
            nothing_is_stored,
        ),
        Mistake(
            "An installation token for revento-user",
            "syncd installations add revento-user --credentials token.json",
            "this is an installation token, and a participant's own data are opened by a user token",
            "give the token reply that the participant's consent brought, or add it as `revento`",
            4,
            "The prefix of a token tells its kind, so nothing is asked. The reverse is told likewise.",
            lambda scene: scene.give(user_id="usr_1"),
            nothing_is_stored,
        ),
        Mistake(
            "A scope that the token lacks",
            ADD,
            "the token lacks the scope that this listing needs (insufficient_scope)",
            f"{AGAIN} and grant it",
            4,
            "The token reply claims a scope that Revento does not see in the token. Nothing is stored.",
            lambda scene: scene.give(scopes=["participants.read"], scope="event.read participants.read"),
            nothing_is_stored,
        ),
        Mistake(
            "Scopes that are of no use",
            ADD,
            "the credentials name none of the scopes that revento needs",
            "it needs some of: event.read, participants.read, program.read",
            4,
            "None of the streams could be copied with this consent. Nothing is stored.",
            lambda scene: scene.give(scope="offline"),
            nothing_is_stored,
        ),
        Mistake(
            "A scope that was declined",
            "syncd sync --stream event --stream participants",
            "revento/‹event id› participants: scope_missing: participants.read was not granted",
            "if it is wanted, have it granted in a new consent, and add the new credentials",
            0,
            "The organizer has left the scope out. That is a steady state, no failure: the other streams are copied.",
            lambda scene: scene.connect(scopes=["event.read"]),
            begins="skipped",
        ),
    ),
)
