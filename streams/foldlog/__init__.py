"""foldlog: event sourcing and CQRS, native to Kafka, in Python."""

__version__ = "0.1.0"
