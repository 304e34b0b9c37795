"""How often each grant was renewed, remembered outside the database: so a database that was set back shows.

Every renewal spends a refresh token for good, and presenting a spent one kills the grant (contracts/revento.md G7). A
restored backup, or a failover that lost its last commits, holds a spent one. What this cannot see: a database that was
set back and is then driven from a machine whose directory never saw the newer pair.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from syncd.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GenerationFile:
    """`refresh.Generations` on this machine's disk: one small file for each grant."""

    folder: Path
    grant_id: UUID

    def newest(self) -> int:
        """0 as long as nothing is remembered."""
        try:
            return int(self._file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            log.warning("generation_not_read", path=str(self._file), reason=str(error))
            return 0

    def note(self, generation: int) -> None:
        """Remember that this generation is stored; what is remembered only grows.

        A disk that does not take it stops nothing: a restored backup would then pass unseen.
        """
        if generation <= self.newest():
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.folder, encoding="ascii", delete=False) as fresh:
                fresh.write(str(generation))
            Path(fresh.name).replace(self._file)
        except OSError as error:
            log.warning("generation_not_remembered", path=str(self._file), reason=str(error))

    @property
    def _file(self) -> Path:
        return self.folder / str(self.grant_id)
