"""The other side: a faithful simulator of the remote API and its OAuth host, over real sockets, with ordered faults.

Written from contracts/revento.md alone and independent of the rest of `syncd`, so that a misreading cannot cancel
itself out. `syncd.sandbox.control` documents the control port.
"""

from syncd.sandbox.control import ORDERS
from syncd.sandbox.faults import Fault
from syncd.sandbox.gaps import GAPS
from syncd.sandbox.server import Sandbox
from syncd.sandbox.settings import Limits, SandboxSettings
from syncd.sandbox.world import COLLECTIONS

__all__ = ["COLLECTIONS", "GAPS", "ORDERS", "Fault", "Limits", "Sandbox", "SandboxSettings"]
