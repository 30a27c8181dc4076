"""Writes miniatures of NAS-Bench-101's file, in the wire formats as their documents state them."""

import base64
import json
import struct


def crc32c(data):
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data):
    """A record of TensorFlow."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(number):
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def doubles(figures):
    """Fields 1, 2, ... of a protocol buffer, those that are zero left out."""
    return b"".join(
        varint(number << 3 | 1) + struct.pack("<d", figure)
        for number, figure in enumerate(figures, start=1)
        if figure
    )


def metrics(judged, parameters=8_000_000, seconds=1000.0):
    """A ModelMetrics of EvaluationData: epoch, seconds, train, validation and test accuracy."""
    parts = [doubles(each) + varint(6 << 3 | 2) + varint(4) + b"path" for each in judged]
    parts = b"".join(varint(1 << 3 | 2) + varint(len(part)) + part for part in parts)
    return (
        parts
        + varint(2 << 3)
        + varint(parameters)
        + varint(3 << 3 | 1)
        + struct.pack("<d", seconds)
    )


def training(fingerprint, matrix, operations, epochs, half, end, seconds):
    """A record's data; ``half`` and ``end`` are validation and test accuracy as fractions."""
    judged = [
        (0.0, 0.0, 0.1, 0.1, 0.1),
        (epochs / 2, seconds / 2, 0.9, *half),
        (float(epochs), seconds, 1.0, *end),
    ]
    bits = "".join(str(int(bit)) for row in matrix for bit in row)
    packed = base64.b64encode(metrics(judged)).decode()
    return json.dumps([fingerprint, epochs, bits, ",".join(operations), packed]).encode()
