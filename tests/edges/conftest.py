"""A bank with a running worker, shared by the tests of all edges; each test has accounts of its own."""

from tests.client.conftest import bank, id, worker

__all__ = ["bank", "id", "worker"]
