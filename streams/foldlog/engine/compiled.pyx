# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The short way of a command, compiled: what `deciding` does where nothing is out of the ordinary.

It gives the same bytes. Whatever it does not know, and whatever fails, it leaves undone and says so; then the long way
is taken, whose answer holds. So nothing is changed here before everything of a command has succeeded.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1
    bint PyLong_CheckExact(object value)
    bint PyUnicode_CheckExact(object value)

cdef enum:
    STRING = 0
    LONG = 1
    BOOLEAN = 2
    OTHER = 3

BY_FUNCTION = OTHER
cdef Py_ssize_t FRAME = 5  # bytes before a record: Confluent's 0 and the id of its schema

CODES = {str: STRING, int: LONG, bool: BOOLEAN}
"""The types that are written and read here."""


class Uncommon(Exception):
    """What the short way does not know, or what fails on it; never leaves this module."""


cdef inline Py_ssize_t varint(char* at, int64_t number) noexcept nogil:
    """Writes Avro's long, at most ten bytes; gives how many."""
    cdef uint64_t rest = (<uint64_t>number << 1) ^ <uint64_t>(number >> 63)
    cdef Py_ssize_t size = 0
    while rest > 127:
        at[size] = <char>((rest & 127) | 128)
        rest >>= 7
        size += 1
    at[size] = <char>rest
    return size + 1


cdef int64_t read_varint(const char* data, Py_ssize_t size, Py_ssize_t* at) except? -1:
    cdef uint64_t number = 0
    cdef int shift = 0
    cdef uint8_t group
    while True:
        if at[0] >= size:
            raise Uncommon
        group = <uint8_t>data[at[0]]
        at[0] += 1
        if shift == 63 and group > 1:
            raise Uncommon
        number |= <uint64_t>(group & 127) << shift
        if group < 128:
            return <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
        shift += 7


cdef class Bytes:
    """Bytes that grow."""

    cdef char* data
    cdef Py_ssize_t size, room

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int need(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room
        cdef char* data
        if self.size + more <= self.room:
            return 0
        room = 2 * (self.size + more) + 1024
        data = <char*>PyMem_Realloc(self.data, room)
        if data == NULL:
            raise MemoryError
        self.data, self.room = data, room
        return 0

    cdef int add(self, const char* data, Py_ssize_t size) except -1:
        self.need(size)
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0

    cdef int add_long(self, int64_t number) except -1:
        self.need(10)
        self.size += varint(self.data + self.size, number)
        return 0

    cdef int add_sized(self, const char* data, Py_ssize_t size) except -1:
        self.add_long(size)
        return self.add(data, size)

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(self.data, self.size)


cdef class Writing:
    """How a record type is written: the frame, and for each field its name, its code and, for OTHER, a function."""

    cdef object kind
    cdef bytes frame, codes
    cdef list names, calls

    def __init__(self, kind, bytes frame, fields):
        self.kind, self.frame = kind, frame
        self.names = [name for name, _, _ in fields]
        self.codes = bytes(code for _, code, _ in fields)
        self.calls = [call for _, _, call in fields]

    cdef int write(self, object record, Bytes out) except -1:
        cdef Py_ssize_t size, place
        cdef const char* text
        cdef int code, overflow = 0
        cdef long long number
        if record.__class__ is not self.kind:
            raise Uncommon
        out.add(PyBytes_AS_STRING(self.frame), PyBytes_GET_SIZE(self.frame))
        for place in range(PyBytes_GET_SIZE(self.codes)):
            value = getattr(record, <str>self.names[place])
            code = PyBytes_AS_STRING(self.codes)[place]
            if code == STRING:
                if not PyUnicode_CheckExact(value):
                    raise Uncommon
                text = PyUnicode_AsUTF8AndSize(value, &size)
                out.add_sized(text, size)
            elif code == LONG:
                if not PyLong_CheckExact(value):
                    raise Uncommon
                number = PyLong_AsLongLongAndOverflow(value, &overflow)
                if overflow:
                    raise Uncommon
                out.add_long(number)
            elif code == BOOLEAN:
                if value is not True and value is not False:
                    raise Uncommon
                out.add(b"\1" if value is True else b"\0", 1)
            else:
                written = self.calls[place](value)
                if not PyBytes_CheckExact(written):
                    raise Uncommon
                out.add(PyBytes_AS_STRING(written), PyBytes_GET_SIZE(written))
        return 0


cdef class Reading:
    """How a message of one schema, which begins with a frame, is read; all of its fields have a code."""

    cdef object kind
    cdef bytes frame, codes

    def __init__(self, kind, bytes frame, codes):
        self.kind, self.frame, self.codes = kind, frame, bytes(codes)

    cdef bint is_of(self, bytes value) noexcept:
        return memcmp(PyBytes_AS_STRING(value), PyBytes_AS_STRING(self.frame), PyBytes_GET_SIZE(self.frame)) == 0

    cdef object read(self, bytes value):
        cdef const char* data = PyBytes_AS_STRING(value)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at = PyBytes_GET_SIZE(self.frame), length, place
        cdef Py_ssize_t count = PyBytes_GET_SIZE(self.codes)
        cdef int code
        cdef tuple values = PyTuple_New(count)
        for place in range(count):
            code = PyBytes_AS_STRING(self.codes)[place]
            if code == STRING:
                length = read_varint(data, size, &at)
                if length < 0 or length > size - at:
                    raise Uncommon
                found = PyUnicode_DecodeUTF8(data + at, length, NULL)
                at += length
            elif code == LONG:
                found = read_varint(data, size, &at)
            else:
                if at >= size or not 0 <= data[at] <= 1:
                    raise Uncommon
                found = data[at] == 1
                at += 1
            Py_INCREF(found)
            PyTuple_SET_ITEM(values, place, found)
        if at != size:
            raise Uncommon
        return self.kind(*values)


cdef class Packing:
    """Aggregates as bytes: `pack` where the short way does not know how."""

    cdef Writing writing
    cdef object pack
    cdef Py_ssize_t largest
    cdef Bytes out

    def __init__(self, Writing writing, pack, Py_ssize_t largest):
        self.writing, self.pack, self.largest, self.out = writing, pack, largest, Bytes()

    def __call__(self, aggregate):
        cdef Bytes out = self.out
        cdef bytes handled
        cdef int64_t count
        try:
            out.size = 0
            self.writing.write(aggregate.state, out)
            out.add_long(aggregate.version)
            count, handled = aggregate.count, aggregate.handled
            if count:
                out.add_long(count)
                out.add(PyBytes_AS_STRING(handled), PyBytes_GET_SIZE(handled))
            out.add(b"\0", 1)
            if out.size <= self.largest:
                return out.taken()
        except Exception:
            pass
        return self.pack(aggregate)


cdef class Commands:
    """The commands of one decider: `handle` is the long way, `faults` is what it may be taken for."""

    cdef list readings
    cdef dict writings
    cdef frozenset accepts, headers
    cdef tuple faults
    cdef object decode, named, decide, evolve, handle, aggregate, reply, home, blank
    cdef bytes prefix, places, reserved
    cdef int64_t first_ms, last_ms, kept, most, longest, largest
    cdef Py_ssize_t forgotten
    # Of the partition whose records are at hand:
    cdef object rows
    cdef dict changed, cached
    cdef list events
    cdef int64_t partition, hits
    cdef Bytes out, item

    def __init__(self, *, readings, writings, accepts, headers, faults, decode, named, decide, evolve, handle,
                 aggregate, reply, home, blank, prefix, places, reserved, first_ms, last_ms, kept, most, longest, largest):
        self.readings, self.writings, self.accepts = list(readings), writings, accepts
        self.headers, self.faults = headers, faults
        self.decode, self.named, self.decide, self.evolve, self.handle = decode, named, decide, evolve, handle
        self.aggregate, self.reply, self.home, self.blank = aggregate, reply, home, blank
        self.prefix, self.places, self.reserved = prefix, places, reserved
        self.first_ms, self.last_ms, self.kept, self.most = first_ms, last_ms, kept, most
        self.longest, self.largest = longest, largest
        self.out, self.item = Bytes(), Bytes()
        self.leave()

    def run(self, list messages, dict rows, work):
        """Handles commands, whose partitions' rows are `rows`."""
        cdef bint done
        self.leave()  # an exception may have ended the batch before
        for message in messages:
            try:
                done = self.one(message, rows, work)
            except self.faults:
                done = False
            if not done:
                self.handle(message, rows.get(message.partition()), work)
        self.leave()

    cdef int enter(self, object partition, dict rows, work) except -1:
        """Goes on with the records of a partition."""
        self.leave()
        self.rows = rows[partition]
        self.changed, self.cached = self.rows.changed, self.rows.cached
        self.events = work.events.setdefault(partition, [])
        self.partition = partition
        return 0

    cdef int leave(self) except -1:
        """Ends with the records of a partition, whose objects may be others when it is entered again."""
        if self.rows is not None:
            self.rows.hits += self.hits
        self.rows = self.changed = self.cached = self.events = None
        self.partition, self.hits = -1, 0
        return 0

    cdef object read(self, bytes value):
        if PyBytes_GET_SIZE(value) >= FRAME:
            for reading in self.readings:
                if (<Reading>reading).is_of(value):
                    return (<Reading>reading).read(value)
        return self.decode(value)

    cdef object row(self, bytes key):
        """The aggregate of a key; None where that is not here, or nobody's."""
        found = PyDict_GetItem(self.changed, key)
        if found == NULL:
            found = PyDict_GetItem(self.cached, key)
            if found != NULL:
                self.hits += 1
        if found != NULL:
            return <object>found
        aggregate = self.rows.get(key)
        if aggregate is None and key != self.reserved and self.home(key) == self.partition:
            return self.blank
        return aggregate

    cdef bint one(self, message, dict rows, work) except -1:
        """One command; False where it must go the long way, of which nothing is done then."""
        cdef bytes key, value, id_ = b"", correlation = b"", actor = None, handled
        cdef bint answered = False, lasting
        cdef str name
        cdef int64_t milliseconds, version, count
        cdef Bytes item = self.item
        key, value = message.key(), message.value()
        if key is None or value is None:
            return False
        partition = message.partition()
        if partition != self.partition:
            self.enter(partition, rows, work)
        aggregate = self.row(key)
        if aggregate is None:
            return False
        headers = message.headers()
        if headers is not None:
            for header in <list>headers:
                name, content = <str>(<tuple>header)[0], (<tuple>header)[1]
                if name != "command-id" and name not in self.headers:
                    continue
                if content is None or not (<bytes>content).isascii():
                    return False
                if name == "command-id":
                    id_ = content
                elif name == "correlation-id":
                    correlation = content
                elif name == "actor":
                    actor = content
                elif name == "reply-to":
                    answered = True
                else:
                    return False
        if PyBytes_GET_SIZE(id_) > self.longest:
            return False
        lasting = PyBytes_GET_SIZE(id_) > 0 and not id_.startswith(self.places)
        if not id_:
            id_ = b"%b%d:%d" % (self.places, partition, message.offset())
        milliseconds = message.timestamp()[1]
        if not self.first_ms <= milliseconds <= self.last_ms:
            return False
        command = self.read(value)
        if command.__class__ not in self.accepts or not same(self.named(command), key):
            return False
        handled = aggregate.handled
        item.size = 0
        item.add_sized(PyBytes_AS_STRING(id_), PyBytes_GET_SIZE(id_))
        if lasting and self.is_remembered(handled, aggregate.count):
            return False
        state = aggregate.state
        events = self.decide(command, state)
        if not (isinstance(events, list) or isinstance(events, tuple)) or not events:
            return False
        version, count = aggregate.version, aggregate.count
        written = []
        for event in events:
            version += 1
            written.append(self.record(event, key, version, milliseconds, correlation, actor))
            state = self.evolve(state, event)
        if lasting:
            count, handled = self.remembered(version, count, handled)
        row = self.aggregate(version, count, handled, state)
        if answered:
            answer = self.reply(id_.decode(), "accepted", version)
            work.replies.append((partition, answer))
        self.events += written
        self.changed[key] = row
        return True

    cdef tuple record(self, event, bytes key, int64_t version, int64_t milliseconds, bytes correlation, bytes actor):
        """An event's key and value."""
        cdef Bytes out = self.out, item = self.item
        cdef bytes place = versioned(key, version)
        out.size = 0
        (<Writing>self.writings[event.__class__]).write(event, out)
        out.add_long(PyBytes_GET_SIZE(self.prefix) + PyBytes_GET_SIZE(place))
        out.add(PyBytes_AS_STRING(self.prefix), PyBytes_GET_SIZE(self.prefix))
        out.add(PyBytes_AS_STRING(place), PyBytes_GET_SIZE(place))
        out.add_sized(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        out.add_long(version)
        out.add_long(milliseconds * 1000)
        out.add(item.data, item.size)
        if correlation:
            out.add_sized(PyBytes_AS_STRING(correlation), PyBytes_GET_SIZE(correlation))
        else:
            out.add(item.data, item.size)
        if actor is None:
            out.add(b"\0", 1)
        else:
            out.add(b"\2", 1)
            out.add_sized(PyBytes_AS_STRING(actor), PyBytes_GET_SIZE(actor))
        out.add(b"\0", 1)
        if out.size + PyBytes_GET_SIZE(place) > self.largest:
            raise Uncommon
        return place, out.taken()

    cdef bint is_remembered(self, bytes handled, int64_t count) except -1:
        """Whether the command's id is among the remembered ones, forgotten ones included; finds where those end."""
        cdef const char* data = PyBytes_AS_STRING(handled)
        cdef const char* item = self.item.data
        cdef Py_ssize_t size = PyBytes_GET_SIZE(handled), own = self.item.size, at = 0, length
        cdef int64_t left = count + 1 - self.kept
        self.forgotten = 0
        while at < size:
            if own <= size - at and data[at + own - 1] == item[own - 1] and memcmp(data + at, item, own) == 0:
                return True
            if data[at] & 129 == 0:  # a length below 64
                length = data[at] >> 1
                at += 1
            else:
                length = read_varint(data, size, &at)
            if length < 0 or length >= size - at:
                raise Uncommon
            at += length
            while data[at] & 128:  # the version
                at += 1
                if at >= size:
                    raise Uncommon
            at += 1
            left -= 1
            if left == 0:
                self.forgotten = at
        return False

    cdef tuple remembered(self, int64_t version, int64_t count, bytes handled):
        """The count and the bytes of the remembered ids with this command's, without those that are too many."""
        cdef Bytes item = self.item
        cdef Py_ssize_t start = 0, before, size = item.size
        cdef bytes longer
        count += 1
        if count > self.most:
            start, count = self.forgotten, self.kept
        before = PyBytes_GET_SIZE(handled) - start
        item.add_long(version)
        longer = PyBytes_FromStringAndSize(NULL, before + item.size)
        memcpy(PyBytes_AS_STRING(longer), PyBytes_AS_STRING(handled) + start, before)
        memcpy(PyBytes_AS_STRING(longer) + before, item.data, item.size)
        item.size = size
        return count, longer


cdef bytes versioned(bytes key, int64_t version):
    """`key@version`."""
    cdef char digits[20]
    cdef Py_ssize_t first = 20, size = PyBytes_GET_SIZE(key)
    cdef bytes place
    while True:
        first -= 1
        digits[first] = <char>(48 + version % 10)
        version //= 10
        if version == 0:
            break
    place = PyBytes_FromStringAndSize(NULL, size + 21 - first)
    memcpy(PyBytes_AS_STRING(place), PyBytes_AS_STRING(key), size)
    PyBytes_AS_STRING(place)[size] = 64
    memcpy(PyBytes_AS_STRING(place) + size + 1, digits + first, 20 - first)
    return place


cdef bint same(text, bytes data) except -1:
    """Whether a string is these bytes."""
    cdef Py_ssize_t size
    cdef const char* own
    if not PyUnicode_CheckExact(text):
        raise Uncommon
    own = PyUnicode_AsUTF8AndSize(text, &size)
    return size == PyBytes_GET_SIZE(data) and memcmp(own, PyBytes_AS_STRING(data), size) == 0
