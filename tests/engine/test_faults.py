"""What a record or a domain function may do wrong, and that it is told as text and not as the engine's own failure."""

from typing import Any

import pytest

from foldlog.core.errors import DecodeError, StoreError
from foldlog.engine.rows import Rows
from foldlog.engine.work import FAULTS, headers_in, text_of


class UnprintableError(Exception):
    """An exception of a domain whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class WithBrokenHeaders:
    """A record as the client gives it where a header's name is not UTF-8."""

    def headers(self) -> Any:
        raise SystemError("<method 'headers'> returned a result with an exception set")


class StoreOfGarbage:
    """A store that holds bytes of another shape."""

    path, position, count = "store", 0, 1

    def get(self, key: bytes) -> bytes:
        return key

    def get_all(self, keys: list[bytes]) -> list[bytes]:
        return keys


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert text_of(UnprintableError()) == "UnprintableError"


def test_a_long_error_is_cut_and_always_encodable() -> None:
    assert len(text_of(ValueError("x" * 10_000))) == 2000
    text_of(ValueError("\ud800")).encode()


@pytest.mark.parametrize("fault", [SystemExit(0), GeneratorExit(), RecursionError(), KeyError("k"), UnprintableError()])
def test_what_a_domain_function_raises_is_its_records_fault(fault: BaseException) -> None:
    assert isinstance(fault, FAULTS)


def test_ctrl_c_is_nobodys_fault() -> None:
    assert not isinstance(KeyboardInterrupt(), FAULTS)


def test_a_header_whose_name_is_not_utf8_is_a_malformed_record() -> None:
    with pytest.raises(DecodeError, match="header") as raised:
        headers_in(WithBrokenHeaders())  # type: ignore[arg-type]
    assert raised.value.cause == "malformed"


@pytest.mark.parametrize("error", [DecodeError("it ends too early", "malformed"), IndexError("index out of range")])
def test_a_stored_row_that_cannot_be_read_is_the_stores_fault(error: Exception) -> None:
    def unreadable(_: bytes) -> str:
        raise error

    rows = Rows(StoreOfGarbage(), str.encode, unreadable, 10)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="cannot be read"):
        rows.get(b"key")
    rows.fetch([b"key"])  # as bytes
    with pytest.raises(StoreError, match="cannot be read"):
        rows.get(b"key")
