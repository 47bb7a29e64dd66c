"""Windowed views in the engine: an event goes to the partition of its key, and there into the rows of its windows."""

from typing import Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.core.windowing import Arrival, Windowing
from foldlog.engine.batch import Received
from foldlog.engine.beside import Beside
from foldlog.engine.routing import moved
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.viewing import Viewing
from foldlog.engine.windowed import WindowedRows
from foldlog.engine.work import Work, key_of, place_of

log = structlog.get_logger()


class WindowedViewing(Viewing):
    """One windowed view. All windows of a key are in the partition of the key, not in those of their rows' names."""

    def __init__(self, topology: Topology, view: View[Any, Any], codec: Codec, beside: Beside | None = None) -> None:
        super().__init__(topology, view, codec, beside)
        assert view.window is not None
        self._window = view.window
        self._windowing = Windowing(view, self._look)
        self.envelopes = self.envelopes or view.window.asks_meta

    def rows(self, store: Store, memory: int) -> Rows[Record]:
        """The rows of one partition, which know the windows."""
        return WindowedRows(store, self._pack, self._codec.decode, memory, self._window)

    def finish(self, work: Work) -> None:
        """Tells of events that came too late; they stay in the log."""
        if work.late:
            log.warning("late events", processor=self.name, count=len(work.late), first=work.late[0])

    def _fold(self, message: Received, event: Record, meta: Meta | None, rows: Rows[Record], work: Work) -> None:
        assert isinstance(rows, WindowedRows)
        name = self._view.key(event)
        if name is None or moved(message, key_of(name), self._rekeyed, self.count, work):
            return
        if work.waits(key_of(name), message):
            return
        told = meta and replace(meta, position=place_of(message))
        change = self._windowing.change(Arrival(name, event, told), rows.table, rows.gone)
        packed = {key_of(each): row for each, row in change.rows.items()}  # none is set where one has no room
        for key, row in packed.items():
            rows.set(key, row)
        if change.late:
            work.late.append(place_of(message))
