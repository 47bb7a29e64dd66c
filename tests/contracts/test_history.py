"""The gate before a merge: what was released must stay readable, in both directions."""

import json
import subprocess
from pathlib import Path

import pytest

from foldlog.contracts import files, history
from foldlog.core.errors import ConfigError
from topologies.orders import orders

STOCK_RESERVED = Path("orders/stock/StockReserved.avsc")


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A repository whose tag v1 holds the schemas of the orders context."""
    root = tmp_path / "schemas"
    files.write(orders, root)
    identity = ("-c", "user.name=foldlog", "-c", "user.email=foldlog@example.org")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "v1"), ("tag", "v1")):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return root


def test_nothing_changed_breaks_nothing(released: Path) -> None:
    assert history.incompatible(released, "orders", "v1") == []


def test_a_new_field_without_default_is_named_with_its_schema(released: Path) -> None:
    schema = json.loads((released / STOCK_RESERVED).read_text())
    schema["fields"].insert(0, {"name": "shelf", "type": "string"})
    (released / STOCK_RESERVED).write_text(json.dumps(schema))
    (found,) = history.incompatible(released, "orders", "v1")
    assert "orders.stock.StockReserved since v1" in found
    assert "shelf" in found


def test_an_event_type_that_is_gone_breaks_the_log(released: Path) -> None:
    (released / STOCK_RESERVED).unlink()
    (found,) = history.incompatible(released, "orders", "v1")
    assert "StockReserved" in found
    assert "gone" in found


def test_a_command_type_that_is_gone_breaks_no_log(released: Path) -> None:
    (released / "orders/stock/ShipStock.avsc").unlink()
    assert history.incompatible(released, "orders", "v1") == []


def test_an_unknown_revision_is_named(released: Path) -> None:
    with pytest.raises(ConfigError, match="v9"):
        history.incompatible(released, "orders", "v9")
