"""syncd: an incremental sync daemon that keeps a PostgreSQL warehouse in step with event-platform REST APIs."""

__version__ = "0.1.0"
