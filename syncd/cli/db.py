"""`syncd db`: the database's schema, address, server and readers."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Group
from syncd.cli.connection import read, without_password
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import Listing, facts
from syncd.errors import ConfigError, DatabaseError, NeedsAuthorization, SchemaOutdated

if TYPE_CHECKING:
    from syncd.store.restored import Restored

FATES = {
    "spent": "renewed after the backup: it waits for a new consent",
    "moved": "stored in another database: taken over",
    "same": "nothing is known against them",
}
# What PostgreSQL takes unquoted, so that nobody has to quote it.
ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@click.group(cls=Group, example="syncd db upgrade\nsyncd db psql -c 'TABLE bi.data_freshness'")
def db() -> None:
    """Look after the database."""


@db.command(example="syncd db upgrade")
@pass_session
def upgrade(session: Session) -> None:
    """Bring the database to the newest schema, and print its version. Safe to repeat."""
    from syncd import main

    settings = session.settings()
    version = main.upgrade_database(main.database_url(settings, direct=True))
    session.answer({"version": version}, version)


@db.command(example="syncd db current || syncd db upgrade")
@pass_session
def current(session: Session) -> int:
    """Print the version of the database's schema; the exit code is 8 if it is not the newest."""
    from syncd import main
    from syncd.store.version import NEWEST, outdated
    from syncd.store.version import current as current_version

    found, newest = current_version(main.database_url(session.settings(), direct=True)), NEWEST
    is_newest = found == newest
    session.answer({"current": found, "newest": newest, "is_newest": is_newest}, found or "none")
    if not is_newest:
        session.note(str(error := outdated(found)), f"hint: {error.hint}")
    return 0 if is_newest else SchemaOutdated.exit_code


@db.command(example="syncd db check\nsyncd db check --json | jq '.findings[].sentence'")
@pass_session
def check(session: Session) -> int:
    """Check that the database is as it should be.

    Server, schema, views, comments, grants, constraints; nothing is changed. The exit code is 6 if something differs,
    8 if the schema is not the newest.
    """
    from syncd import main
    from syncd.cli.findings import show
    from syncd.store.inspection import inspect_database

    return show(session, inspect_database(main.database_url(session.settings(), direct=True), main.TABLES, main.VIEWS))


@db.command(example="syncd db views\nsyncd db views --list")
@click.option("--list", "list_only", is_flag=True, help="Make nothing.")
@pass_session
def views(session: Session, list_only: bool) -> None:
    """Make the views of schema bi anew, and list them.

    With their comments and grants, as `syncd db upgrade` does; views of your own stay.
    """
    from syncd import main
    from syncd.store.view_report import report_views

    settings = session.settings()
    main.prepare_database(settings)
    if not list_only:
        from syncd.store.migrate import rebuild_views

        rebuild_views(main.database_url(settings, direct=True), main.TABLES, main.VIEWS)
    found = read(session, report_views)
    rows = [(each.name, each.rows, each.comment) for each in found]
    session.answer({"views": found}, Listing(("VIEW", "ROWS", "COMMENT"), rows))


@db.command(example='psql "$(syncd db url)"')
@pass_session
def url(session: Session) -> None:
    """Print the database's address, without its password."""
    from syncd import main

    address, _ = without_password(main.database_url(session.settings()))
    session.answer({"url": address}, address)


@db.command(
    example="syncd db psql\nsyncd db psql -c 'TABLE bi.data_freshness'",
    json=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_session
def psql(session: Session, arguments: tuple[str, ...]) -> None:
    """Open psql on the database; ARGUMENTS are psql's own."""
    from syncd import main
    from syncd.store import embedded

    settings = session.settings()
    address, password = without_password(main.database_url(settings, direct=True))
    program = _psql() if settings.database.url else embedded.psql_path(main.home(settings))
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    os.execve(program, ["psql", address, *arguments], environment)  # noqa: S606 - psql takes our place


def _psql() -> Path:
    found = shutil.which("psql")
    if found is None:
        raise ConfigError("psql is not on PATH", hint="install PostgreSQL's client programs")
    return Path(found)


@db.command(example="syncd db start")
@pass_session
def start(session: Session) -> None:
    """Start the embedded server, if it is not running, and print its address."""
    from syncd.store import embedded

    server = embedded.start(_embedded_home(session))
    state = "started" if server.was_started else "was running already"
    session.note(f"PostgreSQL {server.version} {state}; its log is {server.log_path}")
    session.answer({"url": server.url, "was_started": server.was_started, "log": server.log_path}, server.url)


@db.command(example="syncd db stop")
@pass_session
def stop(session: Session) -> None:
    """Stop the embedded server. The next command that needs it starts it again."""
    from syncd.store import embedded

    was_running = embedded.stop(_embedded_home(session))
    session.note("stopped" if was_running else "it was not running")
    session.answer({"was_running": was_running})


def _embedded_home(session: Session) -> Path:
    from syncd import main

    settings = session.settings()
    if settings.database.url is not None:
        raise ConfigError(
            "database.url names a server of your own, which syncd neither starts nor stops",
            hint="without database.url syncd runs an embedded one",
        )
    return main.home(settings)


@db.command(example="syncd db grants --login metabase")
@click.option("--login", metavar="NAME", help="A login that may read all but personal data; made if missing.")
@pass_session
def grants(session: Session, login: str | None) -> None:
    """Create the reading and writing roles and apply every grant.

    The password of a new login goes to a file that only this account can read; the file's path is printed.
    """
    if login is not None and not ROLE_NAME.fullmatch(login):
        raise ConfigError(f"{login!r} is no name for a login", hint="small letters, digits and _, a letter first")
    from syncd import main
    from syncd.store.grants import ROLES, create_roles

    settings = session.settings()
    address = main.database_url(settings, direct=True)
    create_roles(address, main.TABLES)
    file = _make_login(address, login, main.home(settings)) if login else None
    rows = [*(("role", role) for role in ROLES), *([("login", login)] if login else [])]
    session.answer(
        {"roles": ROLES, "login": login, "password_file": file},
        facts([*rows, ("password file", file)]),
    )
    if login and file is None:
        session.note(f"{login} existed already and keeps its password")


def _make_login(address: str, login: str, home: Path) -> Path | None:
    """The file that holds the new login's password; None when the login existed already.

    The file is made first: a password that could not be written down would be lost.
    """
    from syncd.store.grants import make_login

    path = home / f"password-{login}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.chmod(0o600)
    except OSError as error:
        raise DatabaseError(
            f"{path}: {error.strerror}", hint="set database.data_dir to a folder you can write"
        ) from error
    password = make_login(address, login)
    if password is None:
        if not path.stat().st_size:
            path.unlink()
        return None
    path.write_text(f"{password}\n", encoding="ascii")
    return path


@db.command(example="syncd db restored\nsyncd db restored --yes --json")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def restored(session: Session, yes: bool) -> int:
    """Say that this database was restored, or moved, and is the one that counts from now on.

    Until then its tokens are not renewed. Those that were renewed after the backup are lost: their installations wait
    for a new consent (exit code 4). What cannot be seen: a backup that is restored on another machine, while the
    directory database.data_dir of the old one is not at hand.
    """
    from syncd import main

    question = "Does nothing else use these credentials any more? A copy that goes on elsewhere would lose them"
    if not yes and not session.confirms(question):
        return 0
    settings = session.settings()
    url = main.prepare_database(settings)

    async def accept() -> list[Restored]:
        async with main.open_app(settings, url, "db restored") as app:
            return await main.accept_restored(app)

    found = run(accept())
    rows = [(each.installation, FATES[each.fate]) for each in found]
    session.answer({"installations": found}, Listing(("INSTALLATION", "ITS TOKENS"), rows))
    is_spent = any(each.fate == "spent" for each in found)
    if is_spent:
        session.note("hint: have these events connected again, then `syncd installations add` the new credentials")
    return NeedsAuthorization.exit_code if is_spent else 0
