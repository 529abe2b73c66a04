"""Errors that say that something is away, not that the data are wrong: try again later."""

__all__ = ["BusyError", "StoreError"]


class StoreError(ConnectionError):
    """An object store or a database does not answer, or does not let the job in."""


class BusyError(ConnectionError):
    """Another run writes the same output right now."""
