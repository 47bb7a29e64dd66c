"""Decoders: one Python function for each pair of a writer's schema and a record type, generated.

The writer's fields are read in their order and matched with the record's by name: a field that the record does
not have is skipped, one that the writer does not have takes the record's default. The text that is compiled holds
numbers and names made here; whatever came over the network, a schema's names included, is only ever a constant.
Resolution follows https://avro.apache.org/docs/1.12.0/specification/#schema-resolution, but a logical type must be
the one the record states, and a decimal's scale too: reading cents as dollars is worse than an error.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from foldlog.contracts.reading import (
    INDEX,
    RULES,
    SCOPE,
    SIZED,
    STRING,
    Lines,
    Read,
    decimal,
    items,
    logical,
    mapped,
    symbols,
    words,
)
from foldlog.contracts.schema import UNKNOWN
from foldlog.contracts.shapes import (
    Choice,
    Field,
    Items,
    Leaf,
    Mapped,
    Nested,
    Shape,
    Symbols,
    Words,
    called,
    fields_of,
)
from foldlog.contracts.skipping import Named, plain, skipper
from foldlog.core.record import Record, Scale


def decoder(writer: Any, named: Named, record: type[Record]) -> Callable[[bytes], Any]:
    """A function from a framed message without envelope to a record."""
    source = _Source(named)
    body = source.record(plain(writer, named), record)
    return source.compiled([*body, "if i != len(b): T(b, i)", "return v"])


def decoder_before(writer: Any, named: Named, record: type[Record]) -> Callable[[bytes], Any]:
    """A function to a record that leaves the writer's last field, the envelope, unread."""
    source = _Source(named)
    body = source.record(_cut(plain(writer, named)), record)
    return source.compiled([*body, "if i >= len(b): T(b, i)", "return v"])


def decoder_until(writer: Any, named: Named, record: type[Record]) -> Callable[[bytes], Any]:
    """A function to a record and the place at which the writer's last field, the envelope, begins."""
    source = _Source(named)
    body = source.record(_cut(plain(writer, named)), record)
    return source.compiled([*body, "if i >= len(b): T(b, i)", "return v, i"])


def decoder_with(writer: Any, named: Named, record: type[Record], envelope: type[Record]) -> Callable[[bytes], Any]:
    """A function to a record and the envelope that is the writer's last field."""
    source = _Source(named)
    schema = plain(writer, named)
    body = source.record(_cut(schema), record)
    rest = source.record(plain(schema["fields"][-1]["type"], named), envelope)
    return source.compiled([*body, "r = v", *rest, "if i != len(b): T(b, i)", "return r, v"])


def refusals(writer: Any, named: Named, record: type[Record]) -> list[str]:
    """What a decoder would refuse, a reason each that names the field; empty where it reads all that can be written."""
    source = _Source(named)
    source.record(plain(writer, named), record)
    return source.refusals


def _cut(schema: Any) -> Any:
    return {**schema, "fields": schema["fields"][:-1]}


def _indented(lines: Iterable[str]) -> Lines:
    return ["    " + line for line in lines]


class _Source:
    """The functions of one decoder. Lines read a value from bytes `b` at `i` into `v` and move `i` past it."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._known: dict[tuple[str, type[Record]], str] = {}
        self._scope: dict[str, Any] = dict(SCOPE)
        self._place = ""
        self.refusals: list[str] = []

    def compiled(self, lines: Lines) -> Callable[[bytes], Any]:
        """A function of a whole message; the body starts after the frame of five bytes."""
        found: Callable[[bytes], Any] = self._scope[self._define("message", "b", ["i = 5", *lines])]
        return found

    def record(self, writer: Any, record: type[Record]) -> Lines:
        """Lines that read a record."""
        fields = {field.name: field for field in fields_of(record)}
        lines: Lines = []
        values: dict[str, str] = {}
        for place, theirs in enumerate(writer["fields"]):
            field = fields.get(theirs["name"])
            self._place = f"{writer['name']}.{theirs['name']}"
            if field is None:
                lines += self._skipped(theirs["type"])
            else:
                values[field.name] = f"f{place}"
                lines += [*self._value(theirs["type"], field.shape), f"f{place} = v"]
        for field in fields.values():
            if field.name not in values:
                values[field.name] = self._default(field, writer["name"])
        return [*lines, f"v = {self._constant(record)}({_arguments(record, values)})"]

    def _skipped(self, writer: Any) -> Lines:
        schema = plain(writer, self._named)
        if not isinstance(schema, list) and schema["type"] in ("string", "bytes"):
            return [*SIZED, "i = j"]
        return [f"i = {self._constant(skipper(writer, self._named))}(b, i)"]

    def _default(self, field: Field, writer: str) -> str:
        if field.factory is not msgspec.NODEFAULT:
            return f"{self._constant(field.factory)}()"
        if not field.required:
            return self._constant(field.default)
        if isinstance(field.shape, Choice) and None in field.shape.options:
            return "None"
        self._place = ""  # the reason names it
        return self._refused(f"{writer} was written without `{field.name}`, which has no default")

    def _value(self, writer: Any, shape: Shape | None) -> Lines:
        """Lines that read one value of the writer's type as a shape."""
        schema = plain(writer, self._named)
        if isinstance(schema, list):
            return self._branches(schema, shape)
        options = _options(shape, schema) if isinstance(shape, Choice) else [shape]
        lines = self._resolved(schema, options[0]) if options else None
        return lines or [self._refused(f"{_name(schema)} was written where {called(shape)} is read")]

    def _branches(self, branches: list[Any], shape: Shape | None) -> Lines:
        lines = ["if (n := b[i]) > 127: n, i = N(b, i)", "i += 1"]
        for place, branch in enumerate(branches):
            lines += [f"{'elif' if place else 'if'} n == {2 * place}:", *_indented(self._value(branch, shape))]
        return [*lines, "else: B(n)"]

    def _resolved(self, schema: Any, shape: Shape | None) -> Lines | None:  # noqa: PLR0911 — one return a shape
        kind = schema["type"]
        match shape:
            case None:
                return ["v = None"] if kind == "null" else None
            case Leaf(leaf):
                return RULES.get((leaf, kind, logical(schema)))
            case Words(known) if kind == "string":
                return [*STRING, f"v = {self._constant(words(known))}[v]"]
            case Symbols() if kind == "enum":
                self._note_unknown(schema, shape)
                return [*INDEX, f"v = {self._constant(symbols(schema, shape))}[n]"]
            case Scale() if logical(schema) == "decimal" and schema.get("scale", 0) == shape.scale:
                return [*SIZED, f"v = {self._constant(decimal(shape))}(b[i:j])", "i = j"] if kind == "bytes" else None
            case Items() if kind == "array":
                return self._call(items(shape.kind, self._item(schema["items"], shape.item)))
            case Mapped() if kind == "map":
                return self._call(mapped(self._item(schema["values"], shape.item)))
            case Nested(record) if kind == "record":
                return [f"v, i = {self._nested(schema, record)}(b, i)"]
            case _:
                return None

    def _item(self, writer: Any, shape: Shape) -> Read:
        found: Read = self._scope[self._define("item", "b, i", [*self._value(writer, shape), "return v, i"])]
        return found

    def _nested(self, schema: Any, record: type[Record]) -> str:
        key = (schema["name"], record)
        if key not in self._known:
            self._known[key] = name = f"record_{len(self._known)}"
            self._define(name, "b, i", [*self.record(schema, record), "return v, i"])
        return self._known[key]

    def _call(self, function: Read) -> Lines:
        return [f"v, i = {self._constant(function)}(b, i)"]

    def _note_unknown(self, schema: Any, shape: Symbols) -> None:
        known = shape.enum.__members__
        unknown = [] if UNKNOWN in known else [symbol for symbol in schema["symbols"] if symbol not in known]
        if unknown:
            self.refusals.append(f"{self._place}: {', '.join(unknown)} may be written, and there is no UNKNOWN")

    def _refused(self, reason: str) -> str:
        self.refusals.append(f"{self._place}: {reason}" if self._place else reason)
        return f"U({self._constant(reason)})"

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._scope)}"
        self._scope[name] = value
        return name

    def _define(self, name: str, parameters: str, lines: Lines) -> str:
        text = "\n".join([f"def {name}({parameters}):", *_indented(lines)])
        exec(compile(text, f"<decoder: {name}>", "exec"), self._scope)  # noqa: S102 — see above
        return name


def _options(choice: Choice, schema: Any) -> list[Shape | None]:
    """The options that a writer's type can be: null, the record of that name, or the only one there is."""
    if schema["type"] == "null":
        return [option for option in choice.options if option is None]
    some = [option for option in choice.options if option is not None]
    if len(some) == 1:
        return [*some]
    name = str(schema.get("name", "")).rpartition(".")[2]
    return [option for option in some if isinstance(option, Nested) and option.record.__name__ == name]


def _name(schema: Any) -> str:
    if logical(schema) == "decimal":
        return f"decimal({schema.get('precision')}, {schema.get('scale', 0)})"
    return str(schema.get("name") or logical(schema) or schema["type"])


def _arguments(record: type[Record], values: dict[str, str]) -> str:
    """The arguments of a construction, by position as far as it goes: that is faster."""
    arguments, positional = [], True
    for parameter in inspect.signature(record).parameters.values():
        positional = positional and parameter.kind is not parameter.KEYWORD_ONLY and parameter.name in values
        if parameter.name in values:
            value = values[parameter.name]
            arguments.append(value if positional else f"{parameter.name}={value}")
    return ", ".join(arguments)
