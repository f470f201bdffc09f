"""Files as bgzip writes them, where it is not installed."""

from __future__ import annotations

import struct
import zlib


def bgzip(content: bytes, block: int = 60_000) -> bytes:
    """Compress as bgzip does (SAM specification, section 4.1)."""
    parts = []
    for start in (*range(0, len(content), block), len(content)):  # the last block is empty
        piece = content[start : start + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(piece) + packer.flush()
        head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", len(packed) + 25)
        parts.append(head + packed + struct.pack("<II", zlib.crc32(piece), len(piece)))
    return b"".join(parts)
