"""The schema registry, over its REST protocol as Confluent and Apicurio (`/apis/ccompat/v7`) speak it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from foldlog.contracts.changes import breaking
from foldlog.contracts.schema import Schema
from foldlog.core.errors import ConfigError, ContractError, DecodeError, RegistryError

LEVEL = "FULL_TRANSITIVE"
# An unknown id may be registered a moment later; until then each of its records would cost a request.
FORGET_AFTER = 5.0
NO_SCHEMA = 40403  # the error code of a registry that knows: there is no such id
TIMEOUT = 10.0
_PAGE = 1000  # subjects


class Writer(NamedTuple):
    """A schema from the registry, parsed: names are full, `named` holds the definitions."""

    schema: Any
    named: dict[str, Any]

    @property
    def name(self) -> str:
        """The full name of a record; for any other type what it is."""
        if isinstance(self.schema, dict):
            return str(self.schema.get("name", self.schema["type"]))
        return self.schema if isinstance(self.schema, str) else "union"


class Registry:
    """Schemas by id and by subject; every call raises RegistryError where the registry does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        config: dict[str, Any] = {"url": url, "timeout": TIMEOUT, "max.retries": 1}
        if "https:" not in url:
            config["ssl.ca.location"] = False  # else it reads all of the machine's certificates, to check none
        try:
            self._client = SchemaRegistryClient(config)
        except ValueError as error:
            raise ConfigError(f"registry `{url}`: {error}; give http://host:port or https://…") from error
        self._writers: dict[int, Writer] = {}
        self._unknown: dict[int, float] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def by_id(self, schema_id: int) -> Writer:
        """The schema of an id, asked for once; DecodeError "unknown-schema" where there is none."""
        if schema_id in self._writers:
            return self._writers[schema_id]
        if self._unknown.get(schema_id, 0) > time.monotonic():
            raise _unknown(schema_id)
        try:
            with self._asked():
                text = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.error_code != NO_SCHEMA:  # a proxy's 404, a refused log-in: no word on the schema
                raise RegistryError(f"the registry at {self.url} refuses: {error.error_message}") from error
            self._unknown[schema_id] = time.monotonic() + FORGET_AFTER
            raise _unknown(schema_id) from error
        self._writers[schema_id] = self._parsed(schema_id, text)
        return self._writers[schema_id]

    def lookup(self, subject: str, schema: Schema) -> int | None:
        """The id under which a subject has this schema, None where it does not."""
        try:
            with self._asked():
                return self._client.lookup_schema(subject, _text(schema)).schema_id
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return None
            raise _refused(subject, error) from error

    def register(self, subject: str, schema: Schema, *, first: bool = False) -> int:
        """Its id, registered if it is new; ContractError names the field and reason where it is incompatible.

        The `first` schema of a subject is compared with no other: half the requests.
        """
        if not first:
            found = self.lookup(subject, schema)
            if found is not None:
                return found
            reasons = self._breaking(subject, schema)
            if reasons:
                raise ContractError(f"{subject}: {'; '.join(reasons)}")
        try:
            with self._asked():
                return self._client.register_schema(subject, _text(schema))
        except SchemaRegistryError as error:
            raise _refused(subject, error) from error

    def guard(self, subject: str) -> None:
        """Have the registry refuse whatever is not fully compatible with every version of a subject."""
        try:
            with self._asked():
                self._client.set_compatibility(subject, LEVEL)
        except SchemaRegistryError as error:
            raise _refused(subject, error) from error

    def compatible(self, subject: str, schema: Schema) -> list[str]:
        """Why a schema may not follow a subject's versions, one line each; empty where it may."""
        reasons = self._breaking(subject, schema)
        try:
            with self._asked():
                agreed = self._client.test_compatibility_all_versions(subject, _text(schema), verbose=True)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return []
            raise _refused(subject, error) from error
        return reasons if agreed or reasons else ["the registry finds it incompatible"]

    def subjects(self) -> list[str]:
        """Every subject there is; Apicurio names but 1,000 to who does not ask on, other registries all at once."""
        found: dict[str, None] = {}
        known = -1
        try:
            while len(found) > known:
                known = len(found)
                with self._asked():
                    found |= dict.fromkeys(self._client.get_subjects(offset=known, limit=_PAGE))
        except SchemaRegistryError as error:
            raise _refused("subjects", error) from error
        return list(found)

    def versions(self, subject: str) -> dict[int, Schema]:
        """The schemas of a subject by version, the oldest first; empty where there is none."""
        try:
            with self._asked():
                numbers = self._client.get_versions(subject)
                texts = {number: self._client.get_version(subject, number).schema for number in numbers}
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return {}
            raise _refused(subject, error) from error
        return {number: json.loads(str(text.schema_str)) for number, text in texts.items()}

    def _breaking(self, subject: str, schema: Schema) -> list[str]:
        """What a schema breaks of any version that a subject has."""
        versions = self.versions(subject).values()
        return list(dict.fromkeys(reason for known in versions for reason in breaking(known, schema)))

    def _parsed(self, schema_id: int, text: Text) -> Writer:
        if text.schema_type not in (None, "AVRO"):
            raise DecodeError(f"schema {schema_id} is {text.schema_type}, not Avro", "unexpected-type")
        named: dict[str, Any] = {}
        try:
            self._load_references(text, named)
            return Writer(parse_schema(json.loads(str(text.schema_str)), named_schemas=named), named)
        except (ValueError, SchemaParseException, UnknownType) as error:
            raise DecodeError(f"schema {schema_id} cannot be parsed: {error}", "unexpected-type") from error

    def _load_references(self, text: Text, named: dict[str, Any]) -> None:
        for reference in text.references or []:
            with self._asked():
                referred = self._client.get_version(str(reference.subject), int(reference.version or 0)).schema
            self._load_references(referred, named)
            parse_schema(json.loads(str(referred.schema_str)), named_schemas=named)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Silence and failures of the registry's own are RegistryError; its answers pass."""
        try:
            yield
        except SchemaRegistryError as error:
            if error.http_status_code >= 500 or error.http_status_code in (408, 429):
                raise RegistryError(f"the registry at {self.url} fails: {error.error_message}") from error
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:  # silence, or an answer that is no registry's
            raise self._silent(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2"):
                raise
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> RegistryError:
        return RegistryError(f"the registry at {self.url} does not answer: {str(error) or type(error).__name__}")


def _text(schema: Schema) -> Text:
    return Text(json.dumps(schema, separators=(",", ":")), "AVRO")


def _unknown(schema_id: int) -> DecodeError:
    return DecodeError(f"the registry has no schema {schema_id}", "unknown-schema")


def _refused(subject: str, error: SchemaRegistryError) -> ContractError:
    reason = str(error.error_message).rpartition("Exception: ")[2]
    return ContractError(f"{subject}: the registry refuses it: {reason}")
