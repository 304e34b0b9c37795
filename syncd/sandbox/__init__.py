"""The other side: a faithful simulator of the remote API and its OAuth host, over real sockets, with ordered faults.

Written from contracts/revento.md alone and independent of the rest of `syncd`, so that a misreading cannot cancel
itself out. For a test double of your own: `Sandbox` is an async context manager; `syncd.sandbox.control` tells what
the control port can do, `faults` how replies are broken, `schedule` how the world changes in mid-walk, `log` and
`conduct` what is written down of each request.
"""

from syncd.sandbox.conduct import NOTES
from syncd.sandbox.control import ORDERS
from syncd.sandbox.damage import Damage
from syncd.sandbox.fault import Fault
from syncd.sandbox.gaps import GAPS
from syncd.sandbox.orders import Aim
from syncd.sandbox.presets import PRESETS
from syncd.sandbox.server import Sandbox
from syncd.sandbox.settings import Limits, SandboxSettings
from syncd.sandbox.world import COLLECTIONS

__all__ = [
    "COLLECTIONS",
    "GAPS",
    "NOTES",
    "ORDERS",
    "PRESETS",
    "Aim",
    "Damage",
    "Fault",
    "Limits",
    "Sandbox",
    "SandboxSettings",
]
