"""`syncd keys`: the keys that encrypt what is stored."""

from __future__ import annotations

from contextlib import nullcontext

import click

from syncd.cli.command import Command, Group
from syncd.cli.connection import read
from syncd.cli.session import Session, pass_session
from syncd.cli.text import count, facts

# docs/interface.md §3: the answer is no.
NO = 6
NO_NEW_KEY = (
    "every secret lies under the first key already; for a new one put what this prints in front of "
    'security.encryption_keys, and a comma behind it: echo "k2:$(head -c 32 /dev/urandom | base64)"'
)


@click.group(cls=Group, example="syncd keys rotate\nsyncd keys rotate --verify")
def keys() -> None:
    """Look after the keys that encrypt the credentials."""


@keys.command(cls=Command, example="syncd keys rotate\nsyncd keys rotate --verify --json")
@click.option("--verify", is_flag=True, help="Change nothing; the exit code is 6 if a secret lies under an older key.")
@pass_session
def rotate(session: Session, verify: bool) -> int:
    """Encrypt every stored credential anew, under the first key.

    Keys of your own: put a new one in front of security.encryption_keys, restart `syncd serve`, then rotate. Keys that
    syncd made itself: the new one is made here, and what runs takes it up. Safe to repeat, and while rounds run; of
    two rotations at once one is turned away. The older keys may go once `--verify` finds nothing under them.
    """
    from syncd import main
    from syncd.credentials.vault import key_id_of
    from syncd.store.resealing import count_secrets, reseal

    settings = session.settings()
    main.prepare_database(settings)
    # The check takes no lock: it would turn a rotation away.
    with nullcontext() if verify else main.lone_rotation(settings):
        ring = main.open_vault(settings)
        found = read(session, lambda database: count_secrets(database, ring, key_id_of))
        resealed = 0
        if not verify:
            if found and set(found) == {ring.first} and not main.add_own_key(settings):
                session.note(NO_NEW_KEY)
            resealed = read(session, lambda database: reseal(database, ring, ring.first, key_id_of))
            found = read(session, lambda database: count_secrets(database, ring, key_id_of))
    older = found.total() - found[ring.first]
    session.answer(
        {"first_key": ring.first, "installations": resealed, "secrets": found, "under_older_keys": older},
        facts(
            [
                ("first key", ring.first),
                *([] if verify else [("encrypted anew", count(resealed, "installation"))]),
                *((f"secrets under {key_id}", number) for key_id, number in sorted(found.items())),
            ]
        ),
    )
    if older:
        session.note("hint: `syncd keys rotate` encrypts them under the first key")
    elif resealed and settings.security.encryption_keys is not None:
        session.note("hint: restart `syncd serve` if it runs: it knows only the keys that it was started with")
    return NO if older else 0
