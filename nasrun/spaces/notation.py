"""Reading the notations in which papers, logs and code write architectures."""

import re
from collections.abc import Sequence

from nasrun.errors import ConfigError
from nasrun.spaces.base import misplaced

BLANKS, NAME, NUMBER = re.compile(r"\s*"), re.compile(r"[A-Za-z_]\w*"), re.compile(r"[0-9]{1,9}")
DIGITS = "0123456789"
CLOSING = {"(": ")", "[": "]"}


class Scanner:
    """Reads a text from left to right; what is not as expected is refused with its place.

    White space, line ends included, is passed over before anything is read, but not by
    ``exactly``, ``operation`` and ``digit``.
    """

    def __init__(self, what: str, text: str) -> None:
        self._what, self._text, self.place = what, text, 0

    def bad(self, why: str, place: int | None = None) -> ConfigError:
        """The error that shows where the text goes wrong; here, if no place is given."""
        return misplaced(self._what, self._text, self.place if place is None else place, why)

    def blanks(self) -> None:
        """Pass over white space."""
        self.place = self._beyond_blanks(self.place)

    def _beyond_blanks(self, place: int) -> int:
        found = BLANKS.match(self._text, place)
        return place if found is None else found.end()

    def _beyond(self, tokens: Sequence[str]) -> int | None:
        """The place after these tokens; None where something else comes next."""
        place = self.place
        for token in tokens:
            place = self._beyond_blanks(place)
            if not self._text.startswith(token, place):
                return None
            place += len(token)
        return place

    def exactly(self, token: str) -> None:
        """Read ``token``, which must stand right here."""
        if not self._text.startswith(token, self.place):
            raise self.bad(f"expected {token!r}")
        self.place += len(token)

    def expect(self, *tokens: str) -> None:
        """Read these tokens, one after another."""
        for token in tokens:
            self.blanks()
            self.exactly(token)

    def ahead(self, *tokens: str) -> bool:
        """Whether these tokens come next; nothing is read."""
        return self._beyond(tokens) is not None

    def accept(self, *tokens: str) -> bool:
        """Read these tokens if they come next."""
        place = self._beyond(tokens)
        self.place = self.place if place is None else place
        return place is not None

    def brackets(self) -> bool:
        """Whether two opening brackets come next."""
        return any(self.ahead(one, other) for one in CLOSING for other in CLOSING)

    def opened(self) -> str:
        """Read an opening bracket; returns the one that closes it."""
        self.blanks()
        bracket = self._text[self.place : self.place + 1]
        if bracket not in CLOSING:
            raise self.bad("expected '(' or '['")
        self.place += 1
        return CLOSING[bracket]

    def closed(self, bracket: str) -> None:
        """Read a closing bracket, which a comma may precede."""
        self.accept(",")
        self.expect(bracket)

    def assigned(self) -> None:
        """Read ``NAME =`` where the text begins with it."""
        start = self.place
        self.blanks()
        name = NAME.match(self._text, self.place)
        self.place = start if name is None else name.end()
        if not self.accept("="):
            self.place = start

    def operation(self, known: Sequence[str], until: str) -> int:
        """Read the name of an operation up to the token ``until``; returns its number."""
        name = self._text[self.place :].partition(until)[0]
        if name not in known:
            raise self.bad(f"expected one of {', '.join(known)}")
        self.place += len(name)
        return known.index(name)

    def name(self, known: Sequence[str]) -> int:
        """Read a word right here that is one of those known; returns its number."""
        found = NAME.match(self._text, self.place)
        if found is None or found[0] not in known:
            raise self.bad(f"expected one of {', '.join(known)}")
        self.place = found.end()
        return known.index(found[0])

    def word(self) -> str:
        """Read any word in quotes."""
        quote = '"' if self.ahead('"') else "'"
        self.expect(quote)
        found = NAME.match(self._text, self.place)
        if found is None:
            raise self.bad("expected a name")
        self.place = found.end()
        self.exactly(quote)
        return found[0]

    def quoted(self, known: Sequence[str]) -> int:
        """Read one of the names in quotes; returns its number."""
        quote = '"' if self.ahead('"') else "'"
        self.expect(quote)
        option = self.operation(known, quote)
        self.exactly(quote)
        return option

    def number(self, limit: int, what: str) -> int:
        """Read a whole number below ``limit``."""
        self.blanks()
        found = NUMBER.match(self._text, self.place)
        if found is None or int(found[0]) >= limit:
            raise self.bad(f"expected {what} from 0 to {limit - 1}")
        self.place = found.end()
        return int(found[0])

    def digit(self, limit: int) -> int:
        """Read one digit below ``limit``, which must stand right here."""
        digit = self._text[self.place : self.place + 1]
        if digit not in DIGITS[:limit] or not digit:
            raise self.bad(f"expected a digit from 0 to {limit - 1}")
        self.place += 1
        return int(digit)

    def branch(self, known: Sequence[str], sources: int) -> tuple[int, int]:
        """Read ``('operation', node)``; returns both as numbers."""
        closing = self.opened()
        quote = '"' if self.ahead('"') else "'"
        self.expect(quote)
        operation = self.operation(known, quote)
        self.expect(quote, ",")
        source = self.number(sources, "a node")
        self.closed(closing)
        return operation, source

    def key(self, name: str) -> None:
        """Read the key of a dict, ``'name':``."""
        quote = '"' if self.ahead('"') else "'"
        self.expect(quote)
        self.exactly(name)
        self.exactly(quote)
        self.expect(":")

    def end(self, what: str) -> None:
        """Nothing but white space may be left."""
        self.blanks()
        if self.place != len(self._text):
            raise self.bad(f"the {what} should end here")
