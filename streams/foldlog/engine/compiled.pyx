# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The short way of a command, compiled: what `deciding` does where nothing is out of the ordinary.

It gives the same bytes. Whatever it does not know, and whatever fails, it leaves undone and says so; then the long way
is taken, whose answer holds. So nothing is changed here before everything of a command has succeeded.
"""

from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject

include "wire.pxi"
include "packing.pxi"
include "remembering.pxi"
include "folding.pxi"
include "placing.pxi"
include "keys.pxi"
include "passes.pxi"

cdef Py_ssize_t MOST_AT_ONCE = 4096  # bytes of a row that is read and written anew by each command of a batch


cdef class Commands(Remembering):
    """The commands of one decider: `handle` is the long way, `faults` is what it may be taken for."""

    cdef list readings
    cdef dict writings
    cdef frozenset accepts, headers
    cdef tuple faults
    cdef object decode, named, decide, evolve, handle, aggregate, reply, home, blank
    cdef bytes prefix, places, reserved
    cdef int64_t first_ms, last_ms, longest, largest
    # Of the partition whose records are at hand:
    cdef object rows
    cdef Unpacking unpacking
    cdef Packing packing
    cdef dict changed, packed, cached, fetched, waiting, written
    cdef bint complete
    cdef list events
    cdef int64_t partition, hits
    cdef Py_ssize_t size
    # Of the command that is at hand:
    cdef bytes id_, correlation, actor
    cdef bint answered, lasting, at_once
    cdef Bytes out

    def __init__(self, *, readings, writings, accepts, headers, faults, decode, named, decide, evolve, handle,
                 aggregate, reply, home, blank, prefix, places, reserved, first_ms, last_ms, kept, most, most_added,
                 longest, largest):
        self.readings, self.writings, self.accepts = list(readings), writings, accepts
        self.headers, self.faults = headers, faults
        self.decode, self.named, self.decide, self.evolve, self.handle = decode, named, decide, evolve, handle
        self.aggregate, self.reply, self.home, self.blank = aggregate, reply, home, blank
        self.prefix, self.places, self.reserved = prefix, places, reserved
        super().__init__(kept, most, most_added)
        self.first_ms, self.last_ms = first_ms, last_ms
        self.longest, self.largest = longest, largest
        self.out = Bytes()
        self.leave()

    def run(self, list messages, dict rows, work):
        """Handles commands, whose partitions' rows are `rows`."""
        cdef bint done
        try:
            for message in messages:
                try:
                    done = self.one(message, rows, work)
                except self.faults:
                    done = False
                if not done:
                    self.handle(message, rows.get(message.partition()), work)
        finally:
            self.leave()

    cdef int enter(self, object partition, dict rows, work) except -1:
        """Goes on with the records of a partition."""
        self.leave()
        self.rows = rows[partition]
        self.changed, self.packed = self.rows.changed, self.rows.packed
        self.cached, self.fetched = self.rows.cached, self.rows.fetched
        recent = self.rows.recent
        self.waiting, self.written, self.complete = recent.waiting, recent.written, recent.complete
        self.unpacking = unpacking_of(self.rows)
        pack = self.rows.at_once
        # Not where a state is read by functions: each command of a batch would pay for the whole of it, both ways.
        self.packing = <Packing>pack if isinstance(pack, Packing) and self.unpacking is not None else None
        self.events = work.events.setdefault(partition, [])
        self.partition = partition
        return 0

    cdef int leave(self) except -1:
        """Ends with the records of a partition, whose objects may be others when it is entered again."""
        if self.rows is not None:
            self.rows.hits += self.hits
            self.rows.size += self.size
        self.rows = self.unpacking = self.packing = self.events = None
        self.changed = self.packed = self.cached = self.fetched = self.waiting = self.written = None
        self.partition, self.hits, self.size = -1, 0, 0
        return 0

    cdef object read(self, bytes value):
        cdef Reading reading = reading_of(value, self.readings)
        return self.decode(value) if reading is None else reading.read(value)

    cdef object row(self, bytes key):
        """The aggregate of a key; None where that is not here, or nobody's."""
        found = PyDict_GetItem(self.changed, key)
        if found == NULL:
            found = PyDict_GetItem(self.cached, key)
            if found != NULL:
                self.hits += 1
        self.at_once = found == NULL and self.packing is not None
        if found != NULL:
            return <object>found
        found = PyDict_GetItem(self.packed, key)
        if found == NULL:
            found = PyDict_GetItem(self.fetched, key)
        if found == NULL and self.complete:
            found = self.committed(key)
        if found == NULL:
            aggregate = None if self.complete else self.rows.get(key)
        elif <object>found is None:
            aggregate = None
        else:
            # It is decoded when it is wanted, and not cached before it has changed: each pass over so many costs.
            self.at_once = self.at_once and PyBytes_GET_SIZE(<bytes>found) <= MOST_AT_ONCE
            aggregate = unpacked(self.unpacking, <bytes>found)
            if aggregate is None:
                return self.rows.get(key)
            return aggregate
        if aggregate is None and key != self.reserved and self.home(key) == self.partition:
            return self.blank
        return aggregate

    cdef PyObject* committed(self, bytes key) except? NULL:
        """The row of a key where all are in memory, or NULL; `Rows.apply` must know that it was there."""
        cdef PyObject* found = PyDict_GetItem(self.waiting, key)
        if found == NULL:
            found = PyDict_GetItem(self.written, key)
        if found != NULL:
            self.fetched[key] = <object>found
            self.hits += 1
        return found

    cdef bint one(self, message, dict rows, work) except -1:
        """One command; False where it must go the long way, of which nothing is done then."""
        cdef bytes key = message.key(), value = message.value()
        cdef tuple known
        cdef int64_t milliseconds = message.timestamp()[1]
        if key is None or value is None or not self.first_ms <= milliseconds <= self.last_ms:
            return False
        partition = message.partition()
        if partition != self.partition:
            self.enter(partition, rows, work)
        aggregate = self.row(key)
        if aggregate is None or not self.heads(message):
            return False
        command = self.read(value)
        if command.__class__ not in self.accepts or not same(self.named(command), key):
            return False
        known = aggregate.known
        if self.lasting and self.is_remembered(known):
            return False
        return self.decided(command, key, aggregate, known, milliseconds, work)

    cdef bint heads(self, message) except -1:
        """Takes what the headers say; False where they say more than this way knows."""
        cdef bytes id_ = b"", content
        cdef str name
        self.correlation, self.actor, self.answered = b"", None, False
        headers = message.headers()
        if headers is not None:
            for header in <list?>headers:
                name, given = (<tuple?>header)[0], (<tuple>header)[1]
                if name != "command-id" and name not in self.headers:
                    continue
                if given is None or not (<bytes?>given).isascii():
                    return False
                content = given
                if name == "command-id":
                    id_ = content
                elif name == "correlation-id":
                    self.correlation = content
                elif name == "actor":
                    self.actor = content
                elif name == "reply-to":
                    self.answered = True
                else:
                    return False
        if PyBytes_GET_SIZE(id_) > self.longest:
            return False
        self.lasting = PyBytes_GET_SIZE(id_) > 0 and not id_.startswith(self.places)
        if not id_:
            id_ = b"%b%d:%d" % (self.places, self.partition, message.offset())
        if self.lasting:
            self.take(PyBytes_AS_STRING(id_), PyBytes_GET_SIZE(id_))
        self.id_ = id_
        return True

    cdef bint decided(self, command, bytes key, aggregate, tuple known, int64_t milliseconds, work) except -1:
        """Decides, folds and, once all of it has succeeded, adds it to the batch."""
        cdef int64_t version = aggregate.version
        state = aggregate.state
        events = self.decide(command, state)
        if not (isinstance(events, list) or isinstance(events, tuple)) or not events:
            return False
        written = []
        for event in events:
            version += 1
            written.append(self.record(event, key, version, milliseconds))
            state = self.evolve(state, event)
        if self.lasting:
            known = self.remembered(version, known)
        if self.at_once:  # while all of it is at hand: later it has left the processor's cache
            row = self.packing.usual(state, version, known)
            if row is None:
                return False
        else:
            row = self.aggregate(version, known, state)
        if self.answered:
            work.replies.append((self.partition, self.reply(self.id_.decode(), "accepted", version)))
        self.events += written
        if self.at_once:
            self.take_row(key, row)
        else:
            self.changed[key] = row
        return True

    cdef int take_row(self, bytes key, bytes row) except -1:
        """Takes a changed row as bytes, over what it was before in this batch."""
        cdef PyObject* before = PyDict_GetItem(self.packed, key)
        if before != NULL and <object>before is not None:
            self.size -= PyBytes_GET_SIZE(<bytes>before)
        self.size += PyBytes_GET_SIZE(row)
        self.packed[key] = row
        return 0

    cdef tuple record(self, event, bytes key, int64_t version, int64_t milliseconds):
        """An event's key and value."""
        cdef Bytes out = self.out
        cdef bytes correlation = self.correlation or self.id_
        cdef bytes place = versioned(key, version)
        out.size = 0
        (<Writing>self.writings[event.__class__]).write(event, out)
        out.add_long(PyBytes_GET_SIZE(self.prefix) + PyBytes_GET_SIZE(place))
        out.add(PyBytes_AS_STRING(self.prefix), PyBytes_GET_SIZE(self.prefix))
        out.add(PyBytes_AS_STRING(place), PyBytes_GET_SIZE(place))
        out.add_sized(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        out.add_long(version)
        out.add_long(milliseconds * 1000)
        out.add_sized(PyBytes_AS_STRING(self.id_), PyBytes_GET_SIZE(self.id_))
        out.add_sized(PyBytes_AS_STRING(correlation), PyBytes_GET_SIZE(correlation))
        if self.actor is None:
            out.add(b"\0", 1)
        else:
            out.add(b"\2", 1)
            out.add_sized(PyBytes_AS_STRING(self.actor), PyBytes_GET_SIZE(self.actor))
        out.add(b"\0", 1)
        if out.size + PyBytes_GET_SIZE(place) > self.largest:
            raise Uncommon
        return place, out.taken()
