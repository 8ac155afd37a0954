"""Shared memory in which pool processes write the state of their resources, for the worker's main process.

It is made before the fork and inherited, so it needs no file, no port and no round trip, and vanishes with the last
process. Each child has a slot of its own, found by its place in the pool, which its successor takes over.
"""

import json
import mmap
import struct
import zlib
from collections.abc import Collection
from typing import Any

SLOTS = 512
SLOT = 16 * 1024  # bytes; pages that no one writes take no memory
_HEAD = struct.Struct("<IIQ")  # length, checksum, process id
_NUMBER = struct.Struct("<Q")


class SharedState:
    """One slot a child, and the generation of what children inherit."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOT * (SLOTS + 1))

    @property
    def generation(self) -> int:
        """How often the inherited resources have changed; a child of an older generation is outdated."""
        return int(_NUMBER.unpack_from(self._memory, 0)[0])

    @generation.setter
    def generation(self, value: int) -> None:
        _NUMBER.pack_into(self._memory, 0, value)

    @property
    def closing(self) -> bool:
        """Whether the worker is being stopped, so that a child which still loads need not go on."""
        return bool(_NUMBER.unpack_from(self._memory, _NUMBER.size)[0])

    def close(self) -> None:
        """Say that the worker is being stopped."""
        _NUMBER.pack_into(self._memory, _NUMBER.size, 1)

    def write(self, slot: int, pid: int, rows: list[dict[str, Any]]) -> None:
        """Write what child `pid` says; without errors' texts if it would not fit."""
        if not 0 <= slot < SLOTS:
            return
        text = json.dumps(rows).encode()
        if len(text) > SLOT - _HEAD.size:
            text = json.dumps([{**row, "error": ""} for row in rows]).encode()[: SLOT - _HEAD.size]
        start = SLOT * (slot + 1)
        self._memory[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, start, len(text), zlib.crc32(text), pid)

    def read(self, pids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
        """Return what each of the children `pids` said last; one that writes at this moment is left out."""
        found = {}
        for slot in range(SLOTS):
            start = SLOT * (slot + 1)
            length, checksum, pid = _HEAD.unpack_from(self._memory, start)
            if pid not in pids or length > SLOT:
                continue
            for _ in range(5):
                text = self._memory[start + _HEAD.size : start + _HEAD.size + length]
                if zlib.crc32(text) == checksum:
                    found[pid] = json.loads(text)
                    break
                length, checksum, pid = _HEAD.unpack_from(self._memory, start)
        return found
