"""Pure reading of what came over the wire: no I/O, no clock, no state."""
