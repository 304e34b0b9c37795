"""The sources, in one list one can read."""

from collections.abc import Mapping

from syncd.sources import revento
from syncd.sources.base import Source

SOURCES: Mapping[str, Source] = {"revento": revento.SOURCE, "revento-user": revento.USER_SOURCE}
