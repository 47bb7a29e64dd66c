"""The one tree of foldlog's errors.

FoldlogError
├── TopologyError        a context is declared in a way that cannot run
├── Rejected             a command that makes no sense; becomes the reply, never an event
├── ConfigError          a setting, argument or file is wrong; the message says which and what to do
├── ClusterError         Kafka or the registry cannot be started, found or stopped
├── DeadlineError        what a client waited for did not come in time: a reply, a view's progress
├── QueryError           a question to views that is wrong, too large or too early; `status` is HTTP's for it
├── UnreachableError     another system at an edge does not answer; whatever it would be told waits
├── RefusedError         another system at an edge did not take what it was told; `for_good` where it never will
├── ContractError        a schema is missing, stale, incompatible or unknown
│   ├── DecodeError      bytes that are not what their schema says; `cause` is one of outcome.CAUSES
│   ├── EncodeError      a value that its schema cannot hold (never rounded, never cut)
│   └── RegistryError    the schema registry does not answer; known schemas keep working
├── SinkError            a sink's target cannot hold a row, or is not made for it; the message names key and column
│   ├── AwayError        the target does not answer; it is tried again
│   └── FencedError      a younger process writes to the same target
├── ConflictError        another writer appended first; load and decide again
└── EngineError          the engine cannot go on without breaking its promise
    ├── StateError       a store or its log is not what the group's offsets say
    │   └── StoreError   the local store is damaged or cannot be written
    └── AbortError       this batch's transaction must be aborted and read again
        └── TaintError   … and its producer thrown away, because the broker's answer is not known

Infrastructure errors end in `Error`. A refusal that others must react to is an event, not an exception.
"""


class FoldlogError(Exception):
    """Base of every error that foldlog raises on purpose."""


class TopologyError(FoldlogError):
    """A context is declared in a way that cannot run."""


class Rejected(FoldlogError):  # noqa: N818 — a domain word, not an infrastructure error
    """A command makes no sense in this state; the reason becomes the reply."""


class ConfigError(FoldlogError):
    """A setting, argument or file is wrong; the message names it and says what to do."""


class ClusterError(FoldlogError):
    """Kafka or the registry cannot be started, found or stopped."""


class DeadlineError(FoldlogError):
    """What was waited for did not come in time; a command may be carried out all the same: repeat it under its id.

    `sent` is True where Kafka is known to have the command.
    """

    def __init__(self, message: str, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class QueryError(FoldlogError):
    """A question to views is wrong, too large or too early; `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(FoldlogError):
    """Another system at an edge does not answer; whatever it would be told waits."""


class RefusedError(FoldlogError):
    """Another system at an edge did not take what it was told; where that is `for_good`, no other try would help."""

    def __init__(self, message: str, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good


class ContractError(FoldlogError):
    """A schema is missing, stale, incompatible or unknown."""


class DecodeError(ContractError):
    """Bytes are not what their schema says; `cause` is "malformed", "unknown-schema" or "unexpected-type"."""

    def __init__(self, message: str, cause: str = "malformed") -> None:
        super().__init__(message)
        self.cause = cause


class EncodeError(ContractError):
    """A value does not fit its schema, or its record no topic; it is refused, never rounded or cut.

    `cause` is "encode-failed" or "oversized".
    """

    def __init__(self, message: str, cause: str = "encode-failed") -> None:
        super().__init__(message)
        self.cause = cause


class RegistryError(ContractError):
    """The schema registry does not answer; try again later."""


class SinkError(FoldlogError):
    """A sink's target cannot hold a row, or is not made for it; the message names key and column."""


class AwayError(SinkError):
    """A sink's target does not answer, or what it answered is not known; it is tried again."""


class FencedError(SinkError):
    """A younger process writes to the same target: this one must end."""


class ConflictError(FoldlogError):
    """An aggregate is not at the expected version: another writer appended first."""


class EngineError(FoldlogError):
    """The engine cannot go on without breaking its promise."""


class StateError(EngineError):
    """A store or its log is not what the group's offsets say."""


class StoreError(StateError):
    """The local store is damaged or cannot be written."""


class AbortError(EngineError):
    """This batch's transaction must be aborted and its records read again."""


class TaintError(AbortError):
    """The outcome of a transaction is not known: its producer must not be used again."""
