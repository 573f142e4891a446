"""Keys as numbers: an order-preserving numbering of the keys of a listing, learned from those seen so far.

A number has one digit for each character. The digits that a position may have are the characters seen there, completed
to the usual sets (0-9, a-f, a-z), so that equal steps of the number are about equal steps of a counter or of a hash.
The numbering serves to guess where to divide a listing: a bad guess costs a request and never a key.
"""

from collections.abc import Iterator

_MAX_UNICODE = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)  # no characters
_LETTERS = (("a", "f", "z"), ("A", "F", "Z"))  # first, last hexadecimal digit, last


class KeySpace:
    """A numbering of keys; it changes, but keeps their order, whenever a character is seen in a new position."""

    def __init__(self) -> None:
        """Begin with no keys seen."""
        self._alphabets: list[_Alphabet] = []
        self.version = 0
        """Grows when the numbering changes."""

    @property
    def size(self) -> int:
        """One more than the largest number."""
        product = 1
        for alphabet in self._alphabets:
            product *= alphabet.size
        return product

    def learn(self, key: str) -> None:
        """Take the characters of a key into the numbering."""
        for position, character in enumerate(key):
            if position == len(self._alphabets):
                self._alphabets.append(_Alphabet())
            if self._alphabets[position].add(character):
                self.version += 1

    def to_number(self, key: str) -> int:
        """Return the number of a key; one with characters that were not seen gets about that of its neighbours."""
        number, is_known = 0, True
        for position, alphabet in enumerate(self._alphabets):
            digit = 0 if is_known else alphabet.size - 1
            if is_known and position < len(key):
                digit, is_known = alphabet.to_digit(key[position])
            number = number * alphabet.size + digit
        return number

    def to_key(self, number: int) -> str:
        """Return the key that has a number of at least 0 and less than `size`; it may be one that does not exist."""
        digits = []
        for alphabet in reversed(self._alphabets):
            number, digit = divmod(number, alphabet.size)
            digits.append((alphabet, digit))
        characters = []
        for alphabet, digit in reversed(digits):
            if digit == 0:
                break
            characters.append(alphabet.to_character(digit))
        return "".join(characters)


class _Alphabet:
    """The characters of one position as digits from 1, in the order of their code points; 0 is the end of a key."""

    def __init__(self) -> None:
        self._ascii, self._others = set[str](), range(0)  # the characters seen; a range that holds all others
        self._spans: list[tuple[int, int]] = []
        self.size = 1

    def add(self, character: str) -> bool:
        """Take a character into the alphabet; return whether that changes its digits."""
        code = ord(character)
        if character in self._ascii or code in self._others:
            return False
        if character.isascii():
            self._ascii.add(character)
        else:
            first = min(code, self._others.start) if self._others else code
            self._others = range(first, max(code + 1, self._others.stop))
        spans = sorted(_complete(self._ascii, self._others))
        is_changed = spans != self._spans
        self._spans, self.size = spans, 1 + sum(last - first + 1 for first, last in spans)
        return is_changed

    def to_digit(self, character: str) -> tuple[int, bool]:
        """Return the digit of a character, or the largest below it, and whether it is that character's own."""
        code, digit = ord(character), 1
        for first, last in self._spans:
            if code < first:
                break
            if code <= last:
                return digit + code - first, True
            digit += last - first + 1
        return digit - 1, False

    def to_character(self, digit: int) -> str:
        """Return the character of a digit of at least 1 and less than `size`."""
        remaining = digit - 1
        for first, last in self._spans:
            if remaining <= last - first:
                code = first + remaining
                return chr(_SURROGATES.stop if code in _SURROGATES else code)
            remaining -= last - first + 1
        raise ValueError(f"the alphabet has {self.size} digits and not {digit}")


def _complete(ascii_seen: set[str], others: range) -> Iterator[tuple[int, int]]:
    """Yield disjoint spans of code points that hold the characters seen, and those that are likely to follow."""
    if others:
        yield others.start, min(_MAX_UNICODE, others.stop - 2 + len(others))
    constants = set(ascii_seen)
    if any("0" <= character <= "9" for character in ascii_seen):
        yield ord("0"), ord("9")
        constants -= set("0123456789")
    for first, last_hexadecimal, last in _LETTERS:
        letters = {character for character in ascii_seen if first <= character <= last}
        if len(letters) > 1:  # a single one is a constant, as in IMG_0001
            yield ord(first), ord(last_hexadecimal if max(letters) <= last_hexadecimal else last)
            constants -= letters
    yield from ((ord(character), ord(character)) for character in constants)
