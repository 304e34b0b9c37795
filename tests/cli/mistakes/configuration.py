"""Mistakes in the configuration, and in what `installations add` is given."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.cli.mistakes.commands import nothing
from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme


def config(text: str | bytes) -> Callable[[Scene], object]:
    """syncd.toml with this text."""
    return lambda scene: scene.write("syncd.toml", text)


def credentials(text: str) -> Callable[[Scene], object]:
    """token.json with this text."""
    return lambda scene: scene.write("token.json", text)


def closed_file(scene: Scene) -> None:
    """A file that this account must not read; as root we become somebody else."""
    if scene.is_set:
        return
    scene.write("syncd.toml", "").chmod(0)
    if os.geteuid() == 0:
        scene.stack.callback(os.seteuid, 0)
        os.seteuid(65534)


ADD = "syncd installations add revento --credentials token.json"
FORM = "the file is the JSON reply of the token endpoint: access_token, refresh_token, expires_in, scope, event_id, …"

THEME = Theme(
    "Configuration",
    (
        Mistake(
            "An unknown key",
            "syncd --config syncd.toml status",
            "syncd.toml: log.levl is not a known setting",
            "did you mean log.level?",
            2,
            "The file holds a key that syncd does not know. Nothing is ignored: a misspelt key would look as if set.",
            config('[log]\nlevl = "info"\n'),
        ),
        Mistake(
            "A misspelt variable",
            "syncd status",
            "SYNCD_DATABASE__URI is not a known setting",
            "did you mean SYNCD_DATABASE__URL?",
            2,
            "The environment holds a variable that begins with SYNCD_ and is none of syncd's.",
            lambda scene: scene.set(DATABASE__URI=f"postgresql://me:{CANARY}@localhost/x"),
        ),
        Mistake(
            "A value that cannot be",
            "SYNCD_LOG__LEVEL=loud syncd status",
            "SYNCD_LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error'",
            "docs/interface.md says of every key what it may be",
            2,
            "The key is known, its value is not.",
            lambda scene: scene.set(LOG__LEVEL="loud"),
        ),
        Mistake(
            "A configuration file that is not there",
            "syncd --config missing.toml status",
            "missing.toml: cannot be read: No such file or directory",
            "give the path of a file in --config or SYNCD_CONFIG",
            2,
            "A file that is named must exist; only the default places may be empty.",
            nothing,
        ),
        Mistake(
            "A configuration file that is a directory",
            "syncd --config . status",
            ".: cannot be read: Is a directory",
            "give the path of a file in --config or SYNCD_CONFIG",
            2,
            "The path leads to a folder.",
            nothing,
        ),
        Mistake(
            "A configuration file that may not be read",
            "syncd --config syncd.toml status",
            "syncd.toml: cannot be read: Permission denied",
            "let this account read the file and enter the folders above it",
            2,
            "The file, or a folder above it, is closed to the account that runs syncd.",
            closed_file,
        ),
        Mistake(
            "A configuration file that is no TOML",
            "syncd --config syncd.toml status",
            "syncd.toml: is not valid TOML: ‹why› (at line 2, column ‹number›)",
            "correct that line; text needs quotes",
            2,
            "Most often a text without quotes, or a bracket that is missing.",
            config(f"[log]\nlevel = info\n# {CANARY}"),
        ),
        Mistake(
            "A configuration file that is no text",
            "syncd --config syncd.toml status",
            "syncd.toml: is not UTF-8 text (byte 0)",
            "save the file as UTF-8",
            2,
            "The file is in another encoding, or another kind of file.",
            config(b"\xff\xfe"),
        ),
        Mistake(
            "A pooler, and no way past it",
            "SYNCD_DATABASE__POOLER=transaction syncd status",
            'database.pooler is "transaction", and database.direct_url is not set: migrations cannot pass a pooler',
            "set SYNCD_DATABASE__DIRECT_URL to the address of PostgreSQL itself, past the pooler",
            2,
            "Behind PgBouncer in transaction mode a migration would lose its lock between two statements.",
            lambda scene: scene.set(
                DATABASE__POOLER="transaction", DATABASE__URL=f"postgresql://me:{CANARY}@localhost/x"
            ),
        ),
        Mistake(
            "A time zone that does not exist",
            f"{ADD} --timezone europe/warsow",
            "'europe/warsow' is not a time zone",
            "did you mean Europe/Warsaw ‹or …›?",
            2,
            "Zones are those of the IANA database; the default is UTC.",
            lambda scene: scene.give(),
        ),
        Mistake(
            "An API address that is not https",
            f"{ADD} --api-url http://api.example.com/v1 --auth-url https://auth.example.com",
            "--api-url: must begin with https://; http:// is for loopback hosts only",
            "such as https://api.example.com/v1",
            2,
            "Over http the token would cross the network in the clear.",
            lambda scene: scene.give(),
        ),
        Mistake(
            "Credentials that are not there",
            ADD,
            "Invalid value for '--credentials': 'token.json': No such file or directory",
            "`syncd installations add --help` shows how it is used",
            2,
            "The path is wrong.",
            nothing,
        ),
        Mistake(
            "Credentials that are not JSON",
            ADD,
            "token.json: not JSON (‹where and why›)",
            FORM,
            2,
            "The file is not the token endpoint's reply. Give the reply as it came.",
            credentials(f"access_token={CANARY}"),
        ),
        Mistake(
            "Credentials without a token",
            ADD,
            "token.json: Object missing required field `access_token`",
            FORM,
            2,
            "The reply is not whole: perhaps it is an error, or only a part was copied.",
            credentials('{"event_id": "evt_1", "expires_in": 3600}'),
        ),
        Mistake(
            "Credentials without an event",
            ADD,
            "token.json: event_id is missing",
            FORM,
            2,
            "The reply of the first exchange names the event; the reply of a refresh may not.",
            credentials(f'{{"access_token": "{CANARY}"}}'),
        ),
        Mistake(
            "An event id with a slash",
            ADD,
            "token.json: event_id 'events/evt_1' holds a slash, and is none of Revento's ids",
            "copy the id alone, as the token reply gives it, not an address",
            2,
            "An id with a slash would lead to another address of the API.",
            credentials(f'{{"access_token": "{CANARY}", "event_id": "events/evt_1"}}'),
        ),
        Mistake(
            "Credentials from an empty pipe",
            "syncd installations add revento --credentials -",
            "standard input: empty",
            FORM,
            2,
            "The command before the pipe has failed and has written nothing.",
            lambda scene: scene.type(""),
        ),
        Mistake(
            "Nobody there to type",
            "syncd --no-input installations add revento --credentials -",
            "--credentials - would wait for somebody to type",
            "give a file, or pipe it in",
            2,
            "Standard input is a terminal, and --no-input says that nobody sits there.",
            lambda scene: scene.sit_at_a_terminal(),
        ),
    ),
)
