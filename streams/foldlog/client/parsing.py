"""Commands as JSON, checked whole: what is wrong, missing or known to nobody is told with its place."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from foldlog.client.commands import accepted
from foldlog.core.errors import DecodeError
from foldlog.core.record import Record
from foldlog.core.topology import Processor


class Parser:
    """Makes commands of some processors from a type's name and its fields in JSON.

    A type goes by its name, by `processor.Name` and by `context.processor.Name`; by its name alone only where no
    other has it. `target` is what they are called together in an error.
    """

    def __init__(self, context: str, processors: Iterable[Processor], target: str) -> None:
        self.target = target
        full = {f"{context}.{p.name}.{kind.__name__}": kind for p in processors for kind in accepted(p)}
        counts = Counter(kind.__name__ for kind in full.values())
        self.kinds = {name if counts[kind.__name__] > 1 else kind.__name__: kind for name, kind in full.items()}
        names = {**full, **{name.partition(".")[2]: kind for name, kind in full.items()}, **self.kinds}
        self._decoders = {name: msgspec.json.Decoder(kind) for name, kind in names.items()}

    def command(self, name: str, data: bytes | msgspec.Raw, root: str) -> Record:
        """The command; DecodeError names the field, below `root`, and what is wrong with it."""
        decoder = self._decoders.get(name)
        if decoder is None:
            raise DecodeError(f"`{name}` is no command of {self.target}; it takes {', '.join(self.kinds)}", UNKNOWN)
        record: Record = decoded(decoder, data, root)
        _refuse_unknown_fields(record, msgspec.json.decode(data), root)
        return record


UNKNOWN = "unexpected-type"


def decoded(decoder: msgspec.json.Decoder[Any], text: bytes | msgspec.Raw, root: str) -> Any:
    """The decoded value, else DecodeError; "Expected `int` - at `$.items[0]`" becomes "data.items[0]: Expected int"."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        what, _, path = str(error).replace("`", "").partition(" - at ")
        path = (root + path.removeprefix("$")).removeprefix(".")
        raise DecodeError(f"{path}: {what}" if path else what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise DecodeError("not JSON: nested too deeply") from error


def _refuse_unknown_fields(value: object, written: object, path: str) -> None:
    """A misspelt optional field would be lost without a word."""
    if isinstance(value, Record) and isinstance(written, dict):
        known = {*value.__struct_fields__, value.__struct_config__.tag_field}
        for name, inner in written.items():
            if name not in known:
                raise DecodeError(f"{path}.{name}: {type(value).__name__} has no such field".removeprefix("."))
            if name in value.__struct_fields__:
                _refuse_unknown_fields(getattr(value, name), inner, f"{path}.{name}")
    elif isinstance(value, (tuple, list)) and isinstance(written, list):
        for index, (one, other) in enumerate(zip(value, written, strict=False)):
            _refuse_unknown_fields(one, other, f"{path}[{index}]")
    elif isinstance(value, dict) and isinstance(written, dict):
        for name, inner in value.items():
            _refuse_unknown_fields(inner, written.get(str(name)), f"{path}.{name}")
