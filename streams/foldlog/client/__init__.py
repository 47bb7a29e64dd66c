"""Commands, replies, events and views for Python programs."""
