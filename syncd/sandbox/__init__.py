"""The other side: a faithful simulator of the remote API and its OAuth host, over real sockets, with ordered faults.

Written from contracts/revento.md alone and independent of the rest of `syncd`, so that a misreading cannot cancel
itself out. `syncd.sandbox.control` documents the control port.
"""

from syncd.sandbox.server import Sandbox
from syncd.sandbox.settings import Limits, SandboxSettings

__all__ = ["Limits", "Sandbox", "SandboxSettings"]
