"""Records and aggregates as bytes, compiled; part of `compiled.pyx`. `aggregates` says what a row is."""


cdef class Encoding:
    """Records of one type as bytes: `encode` where the short way does not know how."""

    cdef Writing writing
    cdef object encode
    cdef Bytes out

    def __init__(self, Writing writing, encode):
        self.writing, self.encode, self.out = writing, encode, Bytes()

    def __call__(self, record):
        try:
            self.out.size = 0
            self.writing.write(record, self.out)
            return self.out.taken()
        except Exception:
            return self.encode(record)


cdef class Packing:
    """Aggregates as bytes: `pack` where the short way does not know how."""

    cdef Writing writing
    cdef object pack
    cdef Py_ssize_t largest
    cdef Bytes out

    def __init__(self, Writing writing, pack, Py_ssize_t largest):
        self.writing, self.pack, self.largest, self.out = writing, pack, largest, Bytes()

    def __call__(self, aggregate):
        return self.packed(aggregate)

    cdef object packed(self, aggregate):
        packed = self.usual(aggregate.state, aggregate.version, aggregate.known)
        return self.pack(aggregate) if packed is None else packed

    cdef bytes usual(self, state, int64_t version, tuple known):
        """What an aggregate of these is as bytes; None where the short way does not know how."""
        cdef Bytes out = self.out
        cdef bytes kept, added, packed
        cdef Py_ssize_t start, size, more
        cdef char* at
        try:
            out.size = 0
            self.writing.write(state, out)
            out.add_long(version)
            kept, start, added = known[1], known[2], known[3]
            size, more = PyBytes_GET_SIZE(kept) - 1 - start, PyBytes_GET_SIZE(added)
            if size + more:
                out.add_long(known[0])
            if out.size + size + more < self.largest:
                packed = PyBytes_FromStringAndSize(NULL, out.size + size + more + 1)
                at = PyBytes_AS_STRING(packed)
                memcpy(at, out.data, out.size)
                at += out.size
                memcpy(at, PyBytes_AS_STRING(kept) + start, size)
                memcpy(at + size, PyBytes_AS_STRING(added), more)
                at[size + more] = 0
                return packed
        except Exception:
            pass
        return None


cdef class Unpacking:
    """Bytes as aggregates: `unpack` where the short way does not know how."""

    cdef Reading reading
    cdef object unpack, aggregate
    cdef Py_ssize_t most_before

    def __init__(self, Reading reading, unpack, aggregate, Py_ssize_t most_before):
        self.reading, self.unpack, self.aggregate, self.most_before = reading, unpack, aggregate, most_before

    def __call__(self, bytes packed):
        aggregate = self.known(packed)
        return self.unpack(packed) if aggregate is None else aggregate

    cdef object known(self, bytes packed):
        """The aggregate; None where the short way does not know how."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(packed), at = FRAME
        cdef const char* data = PyBytes_AS_STRING(packed)
        cdef int64_t version, count
        try:
            if size >= FRAME and self.reading.is_of(packed):
                state = self.reading.part(packed, &at)
                version, count = read_varint(data, size, &at), read_varint(data, size, &at)
                if version < 0:
                    raise Uncommon
                if count > 0 and at < size:
                    if at > self.most_before:
                        packed, at = packed[at:], 0
                    return self.aggregate(version, (count, packed, at, b""), state)
                if count == 0 and at == size:
                    return self.aggregate(version, (0, b"\0", 0, b""), state)
        except Exception:
            pass
        return None


cdef Unpacking unpacking_of(rows):
    """How its rows are read the short way; None where they are not."""
    unpack = rows.unpack
    return <Unpacking>unpack if isinstance(unpack, Unpacking) else None


cdef inline object unpacked(Unpacking unpacking, bytes packed):
    """The aggregate; None where the short way does not know how, or there is none."""
    return None if unpacking is None else unpacking.known(packed)
