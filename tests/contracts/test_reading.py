"""Reading bytes that no honest writer makes, and those that only some writers make."""

from typing import Any

import pytest
from fastavro.schema import parse_schema

from foldlog.contracts.decoder import decoder
from foldlog.contracts.schema import schema_of
from foldlog.contracts.skipping import Malformed, skipper, zigzag
from foldlog.core.record import Record
from tests.contracts.specimen import contract

FRAME = b"\0\0\0\0\1"


class Numbers(Record):
    numbers: tuple[int, ...]


@pytest.fixture
def schema() -> Any:
    return parse_schema(schema_of(contract(Numbers)))


def test_an_array_in_blocks_that_state_their_size_is_read_and_passed_over(schema: Any) -> None:
    body = b"\x03\x04\x02\x04" + b"\x02\x06" + b"\0"  # two items in two bytes, one item, the end
    assert decoder(schema, {}, Numbers)(FRAME + body) == Numbers((1, 2, 3))
    assert skipper(schema, {})(body, 0) == len(body)


def test_sixty_four_bits_are_the_most() -> None:
    assert zigzag(b"\xff" * 9 + b"\x01", 0) == ((1 << 64) - 1, 9)
    for data in (b"\xff" * 9 + b"\x02", b"\xff" * 9 + b"\x7f", b"\xff" * 10 + b"\x01"):
        with pytest.raises(Malformed, match="longer than 64 bits"):
            zigzag(data, 0)


def test_a_claim_of_more_items_than_bytes_ends_at_once() -> None:
    nothing = {"type": "record", "name": "Nothing", "fields": []}
    with pytest.raises(Malformed, match="claims more items than there are bytes"):
        skipper({"type": "array", "items": nothing}, {})(b"\xfe" + b"\xff" * 8 + b"\x01\0", 0)
