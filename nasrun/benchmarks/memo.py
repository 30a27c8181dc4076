"""How much room a pickle claims for what it refers back to.

Python up to 3.14 makes room for the place that a pickle names, whatever else it holds: twelve bytes
may claim 64 GiB. So the places are looked at first. Opcodes stand in ``pickletools``.
"""

import re

from nasrun.errors import DataError

PLACES = 2**24  # for which Python claims a quarter of a GiB
STOP, PUT, LONG_PUT = b".pr"
# Opcodes of a fixed length, as many as follow each other; LONG_BINPUT (r) with a near place.
FIXED = re.compile(
    rb"(?:[()012NQRabdelostu}\]\x81\x85-\x89\x8f-\x94\x97\x98]|[Kqh\x80\x82].|[M\x83].{2}"
    rb"|[Jj\x84].{4}|[G\x95].{8}|r.{3}\x00)*+",
    re.DOTALL,
)
# Bytes of the length that follows the opcode, and lines that do.
SIZED = {**dict.fromkeys(b"UC\x8a\x8c", 1), **dict.fromkeys(b"TXB\x8b", 4)}
SIZED |= dict.fromkeys(b"\x8d\x8e\x96", 8)
LINES = {**dict.fromkeys(b"FILSVPg", 1), **dict.fromkeys(b"ci", 2)}


def require_small_memo(data: bytes, pickles: int = 1) -> None:
    """Refuse a pickle that names a place beyond ``PLACES``; other faults are the unpickler's.

    ``pickles`` of them may stand in a row.

    Raises:
        DataError: there is one.
    """
    at = 0
    while at < len(data):
        found = FIXED.match(data, at)
        at = at if found is None else found.end()
        code = data[at] if at < len(data) else STOP
        if code in SIZED:
            begin = at + 1 + SIZED[code]
            at = begin + int.from_bytes(data[at + 1 : begin], "little")
        elif code in LINES:
            for _ in range(LINES[code]):
                at = _line_end(data, at)
        elif code == PUT:
            end = _line_end(data, at)
            if not data[at + 1 : end - 1].isdigit():
                return
            if end - at > 10 or int(data[at + 1 : end - 1]) >= PLACES:
                raise _too_many()
            at = end
        elif code == LONG_PUT and at + 5 <= len(data):
            raise _too_many()
        elif code == STOP and at < len(data) and pickles > 1:
            at, pickles = at + 1, pickles - 1
        else:
            return


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end + 1


def _too_many() -> DataError:
    return DataError(f"refused: it claims room for more than {PLACES:,} objects")
