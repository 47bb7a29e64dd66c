"""The engine: each processor folds batches of records, one Kafka transaction a batch."""
