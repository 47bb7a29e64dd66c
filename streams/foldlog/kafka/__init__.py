"""Plain Kafka for the tools around the engine: declare topics, read them to their end, send commands."""
