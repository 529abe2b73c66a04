from tests.integrations.conftest import detector, small, table

__all__ = ["detector", "small", "table"]
