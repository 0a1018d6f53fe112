"""Reads the wire format of protocol buffers, as far as event files use it (protobuf.dev/programming-guides/encoding)."""

Values = dict[int, list[int | bytes]]


class Damaged(Exception):
    """Raised for a file or a message that is cut off or has a wrong format. The text says what is wrong."""


def fields(data: bytes) -> Values:
    """Return the values of a message by field number. A value is a whole number or bytes. Raises Damaged."""
    found: Values = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 2, 5):
            length = {1: 8, 5: 4}.get(kind, 0)
            if kind == 2:
                length, place = _varint(data, place)
            value = data[place : place + length]
            place += length
            if len(value) < length:
                raise Damaged("a message is cut off")
        else:
            raise Damaged("a field has an unknown wire type")
        found.setdefault(key >> 3, []).append(value)
    return found


def number(held: Values, field: int) -> int:
    """Return the whole number in a field. If the field is absent, return 0, the default of the format. Raises Damaged if it holds bytes."""
    value = held.get(field, [0])[-1]
    if isinstance(value, bytes):
        raise Damaged("a field that should hold a number holds bytes")
    return value - (1 << 64) if value >= 1 << 63 else value


def message(value: int | bytes) -> bytes:
    """Return the bytes in a field. Raises Damaged if it holds a number."""
    if isinstance(value, int):
        raise Damaged("a field that should hold a message holds a number")
    return value


def text(held: Values, field: int) -> str:
    """Return the text in a field; empty if the field is absent. Raises Damaged if it holds a number."""
    return message(held.get(field, [b""])[-1]).decode("utf-8", errors="replace")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7
    raise Damaged("a number is cut off")
