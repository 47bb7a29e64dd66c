from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from foldlog.engine.remembered import Remembered

CODES: dict[type, int]
BY_FUNCTION: int

class Writing:
    def __init__(
        self, kind: type, frame: bytes, fields: Iterable[tuple[str, int, Callable[[Any], bytes] | None]]
    ) -> None: ...

class Reading:
    def __init__(self, kind: type, frame: bytes, codes: Iterable[int]) -> None: ...

def partition_of(key: bytes, partitions: int) -> int: ...
def keys_of(messages: Iterable[Any]) -> dict[int, list[bytes]]: ...
def pack_all(rows: dict[bytes, Any], pack: Callable[[Any], bytes]) -> tuple[dict[bytes, bytes | None], int]: ...
def find_all(
    keys: Iterable[bytes], first: dict[bytes, bytes | None], then: dict[bytes, bytes | None]
) -> tuple[dict[bytes, bytes | None], list[bytes]]: ...
def renew(
    rows: dict[bytes, bytes | None],
    keys: Iterable[bytes],
    first: dict[bytes, bytes | None],
    then: dict[bytes, bytes | None],
    room: int,
) -> int: ...
def count_new(changed: dict[bytes, Any], cached: dict[bytes, Any], fetched: dict[bytes, bytes | None]) -> int: ...

class Encoding:
    def __init__(self, writing: Writing, encode: Callable[[Any], bytes]) -> None: ...
    def __call__(self, record: Any) -> bytes: ...

class Packing:
    def __init__(self, writing: Writing, pack: Callable[[Any], bytes], largest: int) -> None: ...
    def __call__(self, aggregate: Any) -> bytes: ...

class Unpacking:
    def __init__(
        self,
        reading: Reading,
        unpack: Callable[[bytes], Any],
        aggregate: Callable[[int, Remembered, Any], Any],
        most_before: int,
    ) -> None: ...
    def __call__(self, packed: bytes) -> Any: ...

class Events:
    def __init__(
        self,
        *,
        readings: Iterable[Reading],
        evolve: Callable[..., Any],
        replay: Callable[..., None],
        aggregate: Callable[[int, Remembered, Any], Any],
        blank: Any,
        places: bytes,
        kept: int,
        most: int,
        most_added: int,
    ) -> None: ...
    def run(self, messages: Iterable[Any], rows: Any) -> None: ...

class Commands:
    def __init__(
        self,
        *,
        readings: Iterable[Reading],
        writings: dict[Any, Writing],
        accepts: frozenset[Any],
        headers: frozenset[str],
        faults: tuple[type[BaseException], ...],
        decode: Callable[[bytes], Any],
        named: Callable[[Any], str],
        decide: Callable[..., Any],
        evolve: Callable[..., Any],
        handle: Callable[..., None],
        aggregate: Callable[[int, Remembered, Any], Any],
        reply: Callable[[str, str, int], Any],
        home: Callable[[bytes], int],
        blank: Any,
        prefix: bytes,
        places: bytes,
        reserved: bytes,
        first_ms: int,
        last_ms: int,
        kept: int,
        most: int,
        most_added: int,
        longest: int,
        largest: int,
    ) -> None: ...
    def run(self, messages: Sequence[Any], rows: Mapping[int, Any], work: Any) -> None: ...
