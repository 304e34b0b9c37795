"""Mistakes about the keys that the stored credentials are encrypted under."""

from __future__ import annotations

import base64

from tests.cli.conftest import KEYS
from tests.cli.mistakes.commands import connected
from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme

OTHER = base64.b64encode(b"o" * 32).decode()


def keys(scene: Scene, text: str) -> None:
    """An installation whose credentials are stored under k1, and then these keys."""
    connected(scene)
    scene.secrets += [OTHER, KEYS.partition(":")[2]]
    scene.set(SECURITY__ENCRYPTION_KEYS=text)


def opens_again(scene: Scene) -> None:
    """The credentials are untouched and the installation is not parked: with the right key all is well."""
    scene.set(SECURITY__ENCRYPTION_KEYS=KEYS)
    assert scene.query("SELECT state FROM syncd.installations") == [("active",)]
    assert scene.run("sync", "--stream", "roles").exit_code == 0


THEME = Theme(
    "Encryption keys",
    (
        Mistake(
            "No key",
            "syncd sync",
            "security.encryption_keys is not set, and credentials are stored only encrypted",
            "set SYNCD_SECURITY__ENCRYPTION_KEYS to what this prints, and keep it safe: "
            'echo "k1:$(head -c 32 /dev/urandom | base64)"',
            2,
            "Beside the embedded database keys are made on first use; for a database of yours you hold them.",
            lambda scene: keys(scene, ""),
            opens_again,
        ),
        Mistake(
            "A key that is none",
            "syncd sync",
            "key number 2 of security.encryption_keys is not `id:base64 of 32 bytes`",
            'make one with: echo "k1:$(head -c 32 /dev/urandom | base64)"',
            2,
            "The list is comma separated; one of its keys is cut off, or has no id. Correct it: a new key does not "
            "open what an old one has encrypted.",
            lambda scene: keys(scene, f"{KEYS},k2:{CANARY}"),
            opens_again,
        ),
        Mistake(
            "A key is missing",
            "syncd sync --stream roles",
            "revento/‹event id› roles: the credential at credentials:revento/‹event id›:access_token "
            "is encrypted under key 'k1', which is missing",
            "add that key to security.encryption_keys, behind the current one",
            2,
            "The key that the credentials were stored under is no longer in the list.",
            lambda scene: keys(scene, f"k2:{OTHER}"),
            opens_again,
        ),
        Mistake(
            "A wrong key",
            "syncd sync --stream roles",
            "revento/‹event id› roles: the credential at credentials:revento/‹event id›:access_token does not open: "
            "another key with the id 'k1', or a copied row",
            "restore the key it was written with, or add the installation again",
            2,
            "The id is right and the key is another one. No call is made, nothing is changed.",
            lambda scene: keys(scene, f"k1:{OTHER}"),
            opens_again,
        ),
    ),
)
