"""The engine: one stream, one installation, one round."""
