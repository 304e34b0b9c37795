"""Mistakes about the database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from tests.cli.mistakes.old_server import OldServer, old_server
from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme


def url(text: str) -> Callable[[Scene], object]:
    """database.url is this; {server} stands for host and port of the session's server."""
    return lambda scene: scene.set(DATABASE__URL=text.format(server=scene.server if "{server}" in text else ""))


def empty(scene: Scene) -> None:
    scene.set(DATABASE__URL=scene.request.getfixturevalue("empty_database_url"))


def too_old(scene: Scene) -> None:
    """What says at the login that it is PostgreSQL 14.17, and what must not be asked anything more."""
    if not scene.is_set:
        old = scene.stack.enter_context(old_server("14.17"))
        scene.set(DATABASE__URL=f"postgresql://me:{CANARY}@127.0.0.1:{old.port}/x?sslmode=disable")
        scene.stack.callback(nothing_but_logins, old)


def nothing_but_logins(old: OldServer) -> None:
    """Neither a query nor the beginning of a transaction has come."""
    assert old.logins == 2
    assert set(old.heard) <= {b"X", b""}  # Terminate, or no word at all


def in_latin1(scene: Scene) -> None:
    """A database of the session's server that was made with another encoding."""
    if not scene.is_set:
        name = f"latin1_{scene.database_name}"
        database = sql.Identifier(name)
        scene.admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'").format(database)
        )
        scene.stack.callback(scene.admin.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        scene.set(DATABASE__URL=scene.database_url.replace(scene.database_name, name))


def german_times(scene: Scene) -> None:
    scene.set(DATABASE__URL=scene.database_url)
    alter(scene, "SET datestyle = 'German'")


def from_the_future(scene: Scene) -> None:
    assert scene.warehouse
    scene.query("UPDATE syncd.alembic_version SET version_num = '9999'")


def is_unchanged(scene: Scene) -> None:
    assert scene.query("SELECT version_num FROM syncd.alembic_version") == [("9999",)]


def somebody_elses(scene: Scene) -> None:
    """A database with a table of others in a schema of ours."""
    empty(scene)
    run_on_empty(scene, "CREATE SCHEMA IF NOT EXISTS revento; CREATE TABLE IF NOT EXISTS revento.orders (id int)")


def is_left_alone(scene: Scene) -> None:
    assert run_on_empty(scene, "SELECT nspname FROM pg_namespace WHERE nspname IN ('syncd', 'revento', 'bi')") == [
        ("revento",)
    ]


def run_on_empty(scene: Scene, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(scene.request.getfixturevalue("empty_database_url"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def read_only(scene: Scene) -> None:
    if not scene.is_set:
        scene.connect()
    alter(scene, "SET default_transaction_read_only = on")


def writable_again(scene: Scene) -> None:
    alter(scene, "RESET default_transaction_read_only")
    goes_on(scene)


def goes_on(scene: Scene) -> None:
    """What was stored is intact, and the next round copies the rest."""
    ended = scene.run("sync")
    assert ended.exit_code == 0, ended.out + ended.err
    truth = scene.remote.control("GET", f"/truth/{scene.remote.event_id}")["participants"]
    assert scene.query("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == [(len(truth),)]


def alter(scene: Scene, change: str) -> None:
    scene.admin.execute(sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(scene.database_name), sql.SQL(change)))


def full_disk(scene: Scene) -> None:
    """Move the database to a disk of 24 MB and fill that up."""
    if scene.is_set:
        return
    scene.connect()
    assert scene.run("sync", "--stream", "roles").exit_code == 0
    disk = scene.mount("disk", "size=24m")
    disk.chmod(0o777)
    place = disk / "tablespace"
    place.mkdir()
    owner = (scene.server_home / "postgres").stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    space = sql.Identifier(f"space_{scene.database_name}")
    scene.admin.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(space, str(place)))
    scene.stack.callback(scene.admin.execute, sql.SQL("DROP TABLESPACE {}").format(space))
    alter(scene, f'SET TABLESPACE "space_{scene.database_name}"')
    fill(disk / "other people's files")


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filling:
        try:
            while True:
                filling.write(b"\0" * 4096)
        except OSError:
            return


def space_again(scene: Scene) -> None:
    """The rows of before are there; with room on the disk the round goes on."""
    assert scene.query("SELECT count(*) > 0 FROM revento.roles") == [(True,)]
    mounts = [Path(line.split()[1].replace("\\040", " ")) for line in Path("/proc/mounts").read_text().splitlines()]
    (disk,) = (path for path in mounts if path.name == "disk" and (path / "other people's files").exists())
    (disk / "other people's files").unlink()
    goes_on(scene)


QUOTING = "in its user and password write @ as %40, : as %3A, / as %2F, % as %25"
NO = "no connection to the database: "

THEME = Theme(
    "The database",
    (
        Mistake(
            "Nothing listens there",
            "syncd status",
            NO + "nothing listens at 127.0.0.1:1 (Connection refused)",
            "start PostgreSQL there, or correct host and port in database.url",
            1,
            "The host is there, and no server listens on that port.",
            url(f"postgresql://me:{CANARY}@127.0.0.1:1/x"),
        ),
        Mistake(
            "An unknown host",
            "syncd status",
            NO + "there is no host db.invalid",
            "correct the host in database.url; " + QUOTING,
            1,
            "The name does not resolve: misspelt, or known in another network only.",
            url(f"postgresql://me:{CANARY}@db.invalid/x"),
        ),
        Mistake(
            "A wrong password",
            "syncd status",
            NO
            + '‹host:port› refuses the user or the password (FATAL:  password authentication failed for user "syncd")',
            "correct them in database.url",
            1,
            "The server does not say which of the two is wrong.",
            url(f"postgresql://syncd:{CANARY}@{{server}}/syncd"),
        ),
        Mistake(
            "No password at all",
            "syncd status",
            NO + "‹host:port› asks for a password, and database.url has none (fe_sendauth: no password supplied)",
            "put it into database.url",
            1,
            "database.url may also come from a file: SYNCD_DATABASE__URL_FILE.",
            url("postgresql://syncd@{server}/syncd"),
        ),
        Mistake(
            "No such database",
            "syncd status",
            NO + '‹host:port› has no such database (FATAL:  database "nowhere" does not exist)',
            "create it there, or correct its name in database.url",
            1,
            "syncd makes its tables, never the database.",
            lambda scene: scene.set(DATABASE__URL=scene.database_url.replace(f"/{scene.database_name}?", "/nowhere?")),
        ),
        Mistake(
            "A password with a percent sign",
            "syncd status",
            "database.url cannot be read",
            "it looks like postgresql://host/name, with user and password before the host; " + QUOTING,
            2,
            "In a URL the percent sign begins a code. Nothing of the URL is shown: it may be the password.",
            url(f"postgresql://me:100%{CANARY}@localhost/x"),
        ),
        Mistake(
            "A password with an at sign",
            "syncd status",
            NO + "database.url names no host",
            "correct it; " + QUOTING,
            1,
            "What stands behind the first at sign is taken for the host.",
            url(f"postgresql://me:ab@{CANARY}@localhost/x"),
        ),
        Mistake(
            "A server that is too old",
            "syncd db upgrade",
            "the database server is PostgreSQL 14.17, and syncd needs 15 or newer; nothing was written",
            "upgrade that server, or name a newer one in database.url",
            2,
            "The version is read at the login, before anything is asked or written. (The test's server is a socket "
            "that speaks as much of the protocol as a login takes.)",
            too_old,
        ),
        Mistake(
            "A database in another encoding",
            "syncd db upgrade",
            "the database's encoding is LATIN1, and syncd needs UTF8; nothing was written",
            "in database.url name one that was made by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
            2,
            "It could not hold every character that the API serves.",
            in_latin1,
            fault=92,
        ),
        Mistake(
            "A database that writes times its own way",
            "syncd status",
            "the database tells times in the style 'German, DMY', and syncd reads ISO alone; nothing was written",
            "for the user of database.url: ALTER ROLE … SET datestyle = 'ISO'",
            2,
            "Set for the server, the database or the user: syncd would read other times than are stored.",
            german_times,
            fault=92,
        ),
        Mistake(
            "A database without syncd's schema",
            "syncd status",
            "the database holds no schema of syncd's yet, this program needs version ‹number›",
            "run `syncd db upgrade`",
            8,
            "Only the embedded database is upgraded by itself; yours when you say so.",
            empty,
        ),
        Mistake(
            "A schema that is newer than the program",
            "syncd status",
            "the database is at schema version 9999, which this program does not know: its newest is ‹number›",
            "use the syncd that upgraded the database, or a newer one; nothing was changed",
            8,
            "A newer syncd has upgraded the database.",
            from_the_future,
            is_unchanged,
            fault=91,
        ),
        Mistake(
            "Upgrading a schema that is newer than the program",
            "syncd db upgrade",
            "the database is at schema version 9999, which this program does not know: its newest is ‹number›",
            "use the syncd that upgraded the database, or a newer one; nothing was changed",
            8,
            "There is no way back from a newer schema.",
            from_the_future,
            is_unchanged,
            fault=91,
        ),
        Mistake(
            "Somebody else's database",
            "syncd db upgrade",
            "the database has a table revento.orders that is not of syncd's making; nothing was changed",
            "give syncd a database of its own: CREATE DATABASE syncd, and name it in database.url",
            8,
            "Schemas of syncd's names hold tables, and nothing says that syncd has made them.",
            somebody_elses,
            is_left_alone,
        ),
        Mistake(
            "A read-only database",
            "syncd sync",
            "the database is read-only (cannot execute ‹statement› in a read-only transaction, SQLSTATE 25006)",
            "name the primary in database.url, or end default_transaction_read_only there",
            1,
            "It is a standby, or `default_transaction_read_only` is on.",
            read_only,
            writable_again,
            fault=85,
        ),
        Mistake(
            "Upgrading a read-only database",
            "syncd db upgrade",
            "the database is read-only (cannot execute ‹statement› in a read-only transaction, SQLSTATE 25006)",
            "name the primary in database.url, or end default_transaction_read_only there",
            1,
            "The same before a migration: nothing is changed.",
            read_only,
            writable_again,
        ),
        Mistake(
            "The database server's disk is full",
            "syncd sync",
            'the disk of the database server is full; nothing that was stored is lost (could not extend file "‹file›": '
            "No space left on device, SQLSTATE 53100)",
            "free space on that disk, then repeat: the next sync goes on",
            1,
            "Each page is one transaction: the page that found no room left nothing behind, those before it stay.",
            full_disk,
            space_again,
            fault=85,
        ),
    ),
)
