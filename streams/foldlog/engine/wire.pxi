"""Avro's binary encoding of records whose fields are strings, longs and booleans, compiled; part of `compiled.pyx`.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
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
        """A record that is all of a message."""
        cdef Py_ssize_t at = FRAME
        record = self.part(value, &at)
        if at != PyBytes_GET_SIZE(value):
            raise Uncommon
        return record

    cdef object part(self, bytes value, Py_ssize_t* at):
        """A record; the place moves behind it."""
        cdef const char* data = PyBytes_AS_STRING(value)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(value), length, place
        cdef Py_ssize_t count = PyBytes_GET_SIZE(self.codes)
        cdef int code
        cdef tuple values = PyTuple_New(count)
        for place in range(count):
            code = PyBytes_AS_STRING(self.codes)[place]
            if code == STRING:
                length = read_varint(data, size, at)
                if length < 0 or length > size - at[0]:
                    raise Uncommon
                found = PyUnicode_DecodeUTF8(data + at[0], length, NULL)
                at[0] += length
            elif code == LONG:
                found = read_varint(data, size, at)
            else:
                if at[0] >= size or not 0 <= data[at[0]] <= 1:
                    raise Uncommon
                found = data[at[0]] == 1
                at[0] += 1
            Py_INCREF(found)
            PyTuple_SET_ITEM(values, place, found)
        return self.kind(*values)


cdef Reading reading_of(bytes value, list readings):
    """Which of them reads a message; None where its schema is none of theirs."""
    if PyBytes_GET_SIZE(value) >= FRAME:
        for reading in readings:
            if (<Reading>reading).is_of(value):
                return <Reading>reading
    return None
