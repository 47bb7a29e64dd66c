"""The events of one decider's log folded again, compiled; part of `compiled.pyx`. `aggregates` says what that means."""


cdef class Events(Remembering):
    """Events of a log: `replay` is the long way."""

    cdef list readings
    cdef object evolve, replay, aggregate, blank
    cdef bytes places
    # Of the rows at hand:
    cdef Unpacking unpacking
    cdef dict changed, cached, fetched
    cdef bint whole

    def __init__(self, *, readings, evolve, replay, aggregate, blank, places, kept, most,
                 most_added):
        super().__init__(kept, most, most_added)
        self.readings, self.evolve, self.replay = list(readings), evolve, replay
        self.aggregate, self.blank, self.places = aggregate, blank, places

    def run(self, messages, rows):
        """Folds events of one partition into its rows."""
        cdef bint done
        self.changed, self.cached, self.fetched, self.whole = rows.changed, rows.cached, rows.fetched, rows.whole
        self.unpacking = unpacking_of(rows)
        for message in messages:
            try:
                done = self.one(message)
            except Exception:
                done = False
            if not done:
                self.replay(message, rows)
        self.unpacking = self.changed = self.cached = self.fetched = None

    cdef bint one(self, message) except -1:
        """One event; False where it must go the long way, of which nothing is done then."""
        cdef bytes value = message.value(), key
        cdef tuple known
        cdef const char* data
        cdef const char* cause
        cdef Py_ssize_t size, at = FRAME, length
        cdef int64_t version
        cdef bint lasting
        cdef Reading reading = None
        if value is not None and message.key() is not None:
            reading = reading_of(value, self.readings)
        if reading is None:
            return False
        data, size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        event = reading.part(value, &at)
        read_sized(data, size, &at, &length)  # the event's id
        key = PyBytes_FromStringAndSize(read_sized(data, size, &at, &length), length)
        version = read_varint(data, size, &at)
        read_varint(data, size, &at)  # its time
        cause = read_sized(data, size, &at, &length)
        lasting = not starts(cause, length, self.places)
        if lasting:
            self.take(cause, length)
        read_sized(data, size, &at, &length)  # its correlation
        skip_optional(data, size, &at)  # its actor
        skip_optional(data, size, &at)  # its tenant
        if at != size:
            return False
        aggregate = self.row(key)
        if aggregate is None:
            return False
        if version <= aggregate.version:
            return True
        if version != aggregate.version + 1:
            return False
        known = aggregate.known
        if lasting:
            if self.is_remembered(known):
                return False
            known = self.remembered(version, known)
        self.changed[key] = self.aggregate(version, known, self.evolve(aggregate.state, event))
        return True

    cdef object row(self, bytes key):
        """The aggregate of a key; None where that is not here."""
        found = PyDict_GetItem(self.changed, key)
        if found == NULL:
            found = PyDict_GetItem(self.cached, key)
        if found != NULL:
            return <object>found
        if self.whole:
            return self.blank
        found = PyDict_GetItem(self.fetched, key)
        if found == NULL:
            return None
        if <object>found is None:
            return self.blank
        return unpacked(self.unpacking, <bytes>found)


cdef const char* read_sized(const char* data, Py_ssize_t size, Py_ssize_t* at, Py_ssize_t* length) except NULL:
    """Where a string begins, and how many bytes it has; the place moves behind it."""
    cdef const char* start
    cdef Py_ssize_t place
    length[0] = read_varint(data, size, at)
    if length[0] < 0 or length[0] > size - at[0]:
        raise Uncommon
    start = data + at[0]
    at[0] += length[0]
    for place in range(length[0]):
        if start[place] & 128:
            PyUnicode_DecodeUTF8(start, length[0], NULL)  # raises where it is none
            break
    return start


cdef int skip_optional(const char* data, Py_ssize_t size, Py_ssize_t* at) except -1:
    """Moves behind a string or null."""
    cdef Py_ssize_t length
    cdef int64_t branch = read_varint(data, size, at)
    if branch == 1:
        read_sized(data, size, at, &length)
    elif branch != 0:
        raise Uncommon
    return 0


cdef inline bint starts(const char* data, Py_ssize_t size, bytes prefix) noexcept:
    return size >= PyBytes_GET_SIZE(prefix) and memcmp(data, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)) == 0
