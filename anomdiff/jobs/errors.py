"""Errors of the jobs that a scheduler can tell from bad settings and bad data."""

__all__ = ["StoreError"]


class StoreError(ConnectionError):
    """An object store or a database does not answer, or does not let the job in."""
