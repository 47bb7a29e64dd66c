"""A processor with its feed and its two threads: one polls, one processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

from foldlog.engine.feed import Feed
from foldlog.engine.kind import Kind
from foldlog.engine.processor import Processor


class Line:
    """What the worker's agent and its housekeeping hold on to."""

    def __init__(self, processor: Processor, kind: Kind, feed: Feed) -> None:
        self.processor = processor
        self.kind = kind
        self.feed = feed
        self.executor = ThreadPoolExecutor(1, thread_name_prefix=f"process-{kind.name}")
        self.thread: threading.Thread | None = None
