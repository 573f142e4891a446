"""A regular expression matched by plain backtracking, with its steps counted: whether its work is linear.

Python's `re` does the same and counts nothing. Only what the project's patterns use is implemented.
"""

import re
import re._constants as ops
import re._parser as parser
from itertools import combinations, product

_MAX_STEPS = 200_000
_SINGLE = {ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN}
_CATEGORIES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}


class TooManyStepsError(Exception):
    """The counter reached its limit."""


class SteppedPattern:
    """A compiled pattern whose `substitute_all` counts its steps."""

    def __init__(self, pattern):
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        self._tree = parser.parse(
            text, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
        )
        self._ignore_case = bool(self._tree.state.flags & re.IGNORECASE)
        self.steps = 0
        self._match = self._compile(list(self._tree))

    def count(self, text, anchored):
        """Return the steps of matching at the start, or of replacing all matches."""
        self.steps, self._text, self._groups = 0, text.lower() if self._ignore_case else text, {}
        position = 0
        while position <= len(text):
            ends = []
            found = self._match(position, lambda end, ends=ends: ends.append(end) or True)
            if anchored:
                break
            position = max(position + 1, ends[0]) if found else position + 1
        return self.steps

    def samples(self):
        """Return short texts that the parts of the pattern match, from which inputs are made."""
        found = []
        self._collect(list(self._tree), found)
        return list(dict.fromkeys(text for text in found if text))

    def _collect(self, items, found):
        literal = ""
        for op, argument in items:
            if op is ops.LITERAL:
                literal += chr(argument)
                continue
            found.append(literal)
            literal = ""
            if op is ops.IN:
                found.append(self._sample_in(argument))
            elif op is ops.ANY:
                found.append("a")
            for part in self._parts(op, argument):
                self._collect(list(part), found)
        found.append(literal)

    @staticmethod
    def _parts(op, argument):
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            return [argument[2]]
        if op is ops.SUBPATTERN:
            return [argument[3]]
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            return [argument[1]]
        if op is ops.ATOMIC_GROUP:
            return [argument]
        return argument[1] if op is ops.BRANCH else []

    def _sample_in(self, argument):
        candidates = " a1.-<\"'=/&@:x" + "".join(chr(value) for op, value in argument if op is ops.LITERAL)
        return next((each for each in candidates if self._is_in(argument, each)), "")

    def _compile(self, items):
        """Return a matcher: from a position and a continuation to whether both match."""
        if not items:
            return lambda position, then: then(position)
        (op, argument), rest = items[0], self._compile(items[1:])
        head = self._compile_one(op, argument)
        return lambda position, then: head(position, lambda end: rest(end, then))

    def _step(self):
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise TooManyStepsError

    def _compile_one(self, op, argument):
        if op in _SINGLE:
            return lambda position, then: self._is_single(op, argument, position) and then(position + 1)
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            return self._compile_repeat(op, *argument)
        if op is ops.SUBPATTERN:
            return self._compile_group(argument[0], self._compile(list(argument[3])))
        if op is ops.BRANCH:
            branches = [self._compile(list(each)) for each in argument[1]]
            return lambda position, then: any(branch(position, then) for branch in branches)
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            return self._compile_assertion(op is ops.ASSERT, *argument)
        if op is ops.ATOMIC_GROUP:
            return self._compile_atomic(self._compile(list(argument)))
        if op is ops.GROUPREF:
            return lambda position, then: self._matches_group(argument, position, then)
        assert op is ops.AT, f"{op} is not implemented"
        return lambda position, then: self._is_at(argument, position) and then(position)

    def _compile_repeat(self, op, least, most, items):
        items = list(items)
        if len(items) == 1 and items[0][0] in _SINGLE:
            return self._compile_single_repeat(op, least, most, *items[0])
        body = self._compile(items)

        def times(position, then, count):
            self._step()

            def again(end):
                return (end > position or count < least) and times(end, then, count + 1)

            if op is ops.MIN_REPEAT:
                return (count >= least and then(position)) or (count < most and body(position, again))
            return (count < most and body(position, again)) or (count >= least and then(position))

        return lambda position, then: times(position, then, 0)

    def _compile_single_repeat(self, op, least, most, single, argument):
        def lazy(position, then):
            end = self._skip(single, argument, position, least)
            if end - position < least:
                return False
            while not then(end):
                if end - position >= most or not self._is_single(single, argument, end):
                    return False
                end += 1
            return True

        def greedy(position, then):
            end = self._skip(single, argument, position, most)
            start = end if op is ops.POSSESSIVE_REPEAT else position + least
            return end - position >= least and any(then(each) for each in range(end, start - 1, -1))

        return lazy if op is ops.MIN_REPEAT else greedy

    def _skip(self, single, argument, position, most):
        """Return where at most `most` matches of one letter end."""
        end = position
        while end - position < most and self._is_single(single, argument, end):
            end += 1
        return end

    def _compile_group(self, number, body):
        def group(position, then):
            def close(end):
                previous = self._groups.get(number)
                self._groups[number] = self._text[position:end]
                if then(end):
                    return True
                self._groups[number] = previous
                return False

            return body(position, close)

        return group

    def _compile_assertion(self, wanted, direction, items):
        body, width = self._compile(list(items)), items.getwidth()[0]

        def check(position, then):
            start = position if direction > 0 else position - width
            found = start >= 0 and body(start, lambda end: direction > 0 or end == position)
            return found == wanted and then(position)

        return check

    def _compile_atomic(self, body):
        def atomic(position, then):
            ends = []
            return body(position, lambda end: ends.append(end) or True) and then(ends[0])

        return atomic

    def _matches_group(self, number, position, then):
        text = self._groups.get(number) or ""
        self.steps += len(text)
        return self._text.startswith(text, position) and then(position + len(text))

    def _is_single(self, op, argument, position):
        self._step()
        if position >= len(self._text):
            return False
        letter = self._text[position]
        if op is ops.LITERAL:
            return letter == (chr(argument).lower() if self._ignore_case else chr(argument))
        if op is ops.NOT_LITERAL:
            return letter != chr(argument)
        return (
            letter != "\n" or bool(self._tree.state.flags & re.DOTALL)
            if op is ops.ANY
            else self._is_in(argument, letter)
        )

    def _is_in(self, argument, letter):
        negated, found = False, False
        for op, value in argument:
            negated = negated or op is ops.NEGATE
            found = found or (
                (op is ops.LITERAL and letter == chr(value))
                or (
                    op is ops.RANGE
                    and any(value[0] <= ord(each) <= value[1] for each in {letter, self._other_case(letter)})
                )
                or (op is ops.CATEGORY and re.fullmatch(_CATEGORIES[value], letter) is not None)
            )
        return found != negated

    def _other_case(self, letter):
        return letter.swapcase()[:1] if self._ignore_case else letter

    def _is_at(self, kind, position):
        if kind is ops.AT_BOUNDARY:
            word = [
                0 <= each < len(self._text) and bool(re.match(r"\w", self._text[each]))
                for each in (position - 1, position)
            ]
            return word[0] != word[1]
        return position == (0 if kind in (ops.AT_BEGINNING, ops.AT_BEGINNING_STRING) else len(self._text))


def find_superlinear_input(pattern, anchored, size=40):
    """Return a text for which twice the length takes over 2.6 times the steps, twice in a row; None if there is none.

    The texts are made of parts that the pattern matches, repeated.
    """
    stepped = SteppedPattern(pattern)
    samples = stepped.samples()[:10]
    windows = ["".join(samples[start:end]) for start, end in combinations(range(len(samples) + 1), 2)]
    units = list(dict.fromkeys((*windows, *map("".join, product(samples, repeat=2)))))
    for head, unit in product(["", *samples[:3]], units):
        try:
            counts = [stepped.count(head + unit * (n // len(unit) + 1), anchored) for n in (size, 2 * size, 4 * size)]
        except TooManyStepsError:
            return head + unit * 3
        if counts[2] > 2.6 * counts[1] > 2.6**2 * counts[0]:
            return head + unit * 3
    return None
