"""What commands share that take an installation's lease: the application, and word of whom they wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from syncd.cli.session import Session
from syncd.cli.signals import run
from syncd.cli.text import show_time

if TYPE_CHECKING:
    from syncd.main import App
    from syncd.model import Installation
    from syncd.store.leases import Holder
    from syncd.sync.round import Watch

T = TypeVar("T")


def with_app(session: Session, command: str, work: Callable[[App], Awaitable[T]]) -> T:
    """What the work comes to; leases say that `command` does it. Raises ConfigError, DatabaseError, SchemaOutdated."""
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)

    async def working() -> T:
        async with main.open_app(settings, url, command) as app:
            return await work(app)

    return run(working())


def waiting(session: Session) -> Watch:
    """Tells once of each installation by whom it is held."""
    from syncd.sync.round import Watch

    told: set[str] = set()

    def tell(installation: Installation, holder: Holder) -> None:
        if installation.name not in told:
            told.add(installation.name)
            session.note(f"{installation.name}: held by {holder.owner} until {show_time(holder.until)}; waiting")

    return Watch(waiting=tell)
