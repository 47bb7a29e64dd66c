"""Views and event logs in other systems, with exactly-once effect: the offsets are stored with the rows.

Whatever happens to a sink's process, Kafka or the target, the target holds what the topic says up to the stored
offsets: they are written in the target's own transaction, and read again after every failure.
"""
