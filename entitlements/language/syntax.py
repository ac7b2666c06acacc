"""Reads rule text: characters into words, words into a typed tree, or a complaint with line and column.

The only module that knows how a rule is written. The grammar is CEL's, for a closed subset.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar

from . import tree as t
from .tree import Mismatch, Node, Tree, Vocabulary

MAX_LENGTH = 20_000
MAX_NESTING = 40


class RuleError(ValueError):
    """A rule text that cannot be read, with the place and what to write instead."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message, self.line, self.column = message, line, column


@dataclass(frozen=True, slots=True)
class _Word:
    kind: str
    text: str
    line: int
    column: int


_WORDS = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<raw>[rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|"[^"\n]*"))
    |(?P<string>'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    |(?P<float>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<int>0[xX][0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {
    c: c for c in "\\\"'`?"
}
_STRANGE = {
    "&": "write && for and",
    "|": "write || for or",
    "=": "write == to compare",
    "'": "the text has no closing quotation mark on its line",
    '"': "the text has no closing quotation mark on its line",
    "{": "there are no maps or blocks in rules",
}


def _words(text: str) -> list[_Word]:
    if len(text) > MAX_LENGTH:
        raise RuleError(f"a rule has at most {MAX_LENGTH} characters; split it", 1, 1)
    found: list[_Word] = []
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _WORDS.match(text, at)
        column = at - begin + 1
        if match is None:
            sign = text[at]
            raise RuleError(
                f"{sign!r} has no place in a rule; {_STRANGE.get(sign, 'remove it')}", line, column
            )
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Word(kind, match.group(), line, column))
        breaks = match.group().count("\n")
        if breaks:
            line, begin = line + breaks, at + match.group().rindex("\n") + 1
        at = match.end()
    found.append(_Word("end", "", line, at - begin + 1))
    return found


def parse(text: str, vocabulary: Vocabulary) -> Tree:
    """The typed tree of a rule text, or a `RuleError` that says where and what to write instead."""
    parser = _Parser(_words(text), vocabulary)
    try:
        root = parser.expression()
    except RecursionError:  # only where the caller itself stands deep already
        raise parser.wrong("the rule is nested too deeply; split it") from None
    if parser.word.kind != "end":
        raise parser.wrong(f"the rule should end before {parser.word.text!r}; join conditions with && or ||")
    try:
        t.measure(root)
    except Mismatch as error:
        raise RuleError(str(error), 1, 1) from None
    return Tree(root)


_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    t.OPERATORS | {"in"},
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_Made = TypeVar("_Made")


class _Parser:
    """Recursive descent over the words; each method reads one thing and leaves the next word in `word`."""

    def __init__(self, words: list[_Word], vocabulary: Vocabulary) -> None:
        self.words, self.vocabulary = words, vocabulary
        self.position = self.nesting = 0
        self.functions: dict[str, Callable[[_Word], Node]] = {
            "least": self.extreme,
            "greatest": self.extreme,
            "under": self.under,
            "until": self.until,
            "day": self.day,
            "cents": self.cents,
            "any_member": self.members,
            "count_members": self.members,
            "rank_among": self.members,
        }

    @property
    def word(self) -> _Word:
        return self.words[self.position]

    def wrong(self, message: str, word: _Word | None = None) -> RuleError:
        place = word or self.word
        return RuleError(message, place.line, place.column)

    def take(self) -> _Word:
        word = self.word
        if word.kind != "end":
            self.position += 1
        return word

    def accept(self, *texts: str) -> _Word | None:
        fits = self.word.kind in {"sign", "name"} and self.word.text in texts
        return self.take() if fits else None

    def expect(self, text: str, why: str) -> _Word:
        word = self.accept(text)
        if word is None:
            raise self.wrong(f"{why}; expected {text!r} before {self.word.text[:40] or 'the end'!r}")
        return word

    def name(self, what: str) -> _Word:
        if self.word.kind != "name":
            raise self.wrong(f"expected {what}")
        return self.take()

    def make(self, place: _Word, build: Callable[[], _Made]) -> _Made:
        """Builds a node, and says where, if its parts do not fit together."""
        try:
            return build()
        except Mismatch as error:
            raise self.wrong(str(error), place) from None

    # --- from the loosest to the tightest -----------------------------------------------------------------

    def expression(self) -> Node:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.wrong(f"brackets are nested deeper than {MAX_NESTING}; split the rule")
        cases: list[tuple[Node, Node]] = []
        marks: list[_Word] = []
        value = self.binary(0)
        while mark := self.accept("?"):
            then = self.binary(0)
            self.expect(":", "a choice reads condition ? value : other value")
            cases.append((value, then))
            marks.append(mark)
            value = self.binary(0)
        if cases:
            choice, last = tuple(cases), value
            value = self.make(
                marks[0], lambda: t.Choose(self.alike(choice, last), self.towards(last, choice[0][1]))
            )
        self.nesting -= 1
        return value

    def alike(self, cases: tuple[tuple[Node, Node], ...], last: Node) -> tuple[tuple[Node, Node], ...]:
        return tuple((when, self.towards(then, last)) for when, then in cases)

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        first = self.binary(level + 1)
        if level < 2:
            return self.chain(first, level)
        while sign := self.accept(*_LEVELS[level]):
            first = self.relate(sign, first, level) if level == 2 else self.calculate(sign, first, level)
        return first

    def chain(self, first: Node, level: int) -> Node:
        terms, places = [first], []
        while sign := self.accept(*_LEVELS[level]):
            places.append(sign)
            terms.append(self.binary(level + 1))
        if not places:
            return first
        return self.make(places[0], lambda: (t.Or, t.And)[level](tuple(terms)))

    def relate(self, sign: _Word, left: Node, level: int) -> Node:
        if sign.text == "in":
            options = self.options(left)
            return self.make(sign, lambda: t.OneOf(left, options))
        right = self.binary(level + 1)
        return self.make(
            sign, lambda: t.Compare(sign.text, self.towards(left, right), self.towards(right, left))
        )

    def calculate(self, sign: _Word, left: Node, level: int) -> Node:
        if sign.text in {"/", "%"}:
            raise self.wrong("there is no division in rules: multiply the other side instead", sign)
        right = self.binary(level + 1)
        return self.make(sign, lambda: t.Arithmetic(sign.text, left, right))

    def unary(self) -> Node:
        signs: list[_Word] = []
        while sign := self.accept("!", "-"):
            signs.append(sign)
            if len(signs) > MAX_NESTING:
                raise self.wrong(f"more than {MAX_NESTING} signs in a row", sign)
        if signs and signs[-1].text == "-" and self.word.kind == "int":
            signs.pop()
            node: Node = self.whole(negative=True)
        else:
            node = self.primary()
        for sign in reversed(signs):
            if sign.text == "!":
                node = self.make(sign, partial(t.Not, node))
            else:
                node = self.make(sign, partial(t.Negative, node))
        return node

    def primary(self) -> Node:
        word = self.word
        match word.kind:
            case "int":
                return self.whole()
            case "string" | "raw":
                return t.Literal(t.STRING, self.text())
            case "name":
                return self.named()
            case "float":
                raise self.wrong("rules know whole numbers only; write money in cents, as cents(1550)")
            case "end":
                raise self.wrong("the rule stops here, but a value is missing")
        if self.accept("("):
            inner = self.expression()
            self.expect(")", "the bracket is not closed")
            return inner
        if word.text == "[":
            raise self.wrong('a list stands only after in, as in stage in ["primary", "sek1"]')
        raise self.wrong(f"{word.text!r} cannot stand here; a value is missing before it")

    # --- words and values ---------------------------------------------------------------------------------

    def whole(self, *, negative: bool = False) -> t.Literal:
        word = self.take()
        if len(word.text) > 40:
            raise self.wrong("whole numbers have at most 64 bits", word)
        number = int(word.text, 16 if word.text[:2].lower() == "0x" else 10)
        return self.make(word, lambda: t.Literal(t.INT, -number if negative else number))

    def text(self) -> str:
        word = self.take()
        raw = word.kind == "raw"
        body = word.text[1:] if raw else word.text
        width = 3 if body[:3] in {"'''", '"""'} and len(body) > 5 else 1
        body = body[width:-width]
        return body if raw else _ESCAPES.sub(lambda m: self.escape(m, word), body)

    def escape(self, match: re.Match[str], word: _Word) -> str:
        letter = match.group(5)
        if letter is not None:
            if letter not in _LETTERS:
                raise self.wrong(f"\\{letter} means nothing in a text", word)
            return _LETTERS[letter]
        octal = match.group(4)
        code = int(octal, 8) if octal else int(match.group(1) or match.group(2) or match.group(3), 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self.wrong("there is no such character", word)
        return chr(code)

    def named(self) -> Node:
        word = self.take()
        if word.text in {"true", "false"}:
            return t.Literal(t.BOOL, word.text == "true")
        if word.text == "today":
            return t.Today()
        if word.text == "param":
            self.expect(".", "a parameter reads param.name")
            chosen = self.name("the name of a parameter")
            return t.Parameter(chosen.text, self.known(chosen, self.vocabulary.parameters, "parameter"))
        if self.accept("("):
            function = self.known(word, self.functions, "function")
            node = function(word)
            self.expect(")", f"{word.text}(...) is not closed")
            return node
        if word.text in self.vocabulary.households:
            raise self.wrong(
                f"{word.text} is a kind of household; ask any_member({word.text}, condition)", word
            )
        if word.text in self.functions:
            raise self.wrong(f"{word.text} is a function; write {word.text}(...)", word)
        fact = self.known(word, self.vocabulary.facts, "fact")
        if self.accept("."):
            raise self.wrong(f"{word.text} has no parts; facts are single values", word)
        if fact.latest:
            raise self.wrong(f"{word.text} may be known in part only; ask under({word.text}, years)", word)
        return t.Fact(word.text, fact.type)

    def known(self, word: _Word, names: Mapping[str, _Made], what: str) -> _Made:
        if word.text in names:
            return names[word.text]
        close = difflib.get_close_matches(word.text[:60], list(names), 1)
        other = f"did you mean {close[0]}?" if close else _listed(what, names)
        raise self.wrong(f"there is no {what} {word.text[:60]}; {other}", word)

    def towards(self, node: Node, other: Node) -> Node:
        """A text beside an enum is one of its members, or a mistake."""
        text = isinstance(node, t.Literal) and node.type == t.STRING
        if not text or other.type.kind is not t.Kind.ENUM:
            return node
        assert isinstance(node, t.Literal)
        members = self.vocabulary.members(other.type.enum)
        if node.value not in members:
            raise Mismatch(
                f"{str(node.value)[:60]!r} is no member of {other.type.enum}; it has {', '.join(members)}"
            )
        return t.Literal(other.type, node.value)

    def options(self, item: Node) -> tuple[t.Literal, ...]:
        self.expect("[", "in reads value in [a, b]")
        found: list[t.Literal] = []
        while not self.accept("]"):
            place = self.word
            node = self.make(place, lambda: self.towards(self.unary(), item))
            if not isinstance(node, t.Literal):
                raise self.wrong(
                    "the list after in holds written values only; join comparisons with ||", place
                )
            found.append(node)
            if self.word.text != "]":
                self.expect(",", "the values of a list stand between [ and ], with commas")
        return tuple(found)

    # --- functions ----------------------------------------------------------------------------------------

    def extreme(self, word: _Word) -> Node:
        terms = [self.expression()]
        while self.accept(","):
            terms.append(self.expression())
        return self.make(word, lambda: t.Extreme(word.text, tuple(terms)))

    def day(self, word: _Word) -> Node:
        if self.word.kind not in {"string", "raw"}:
            raise self.wrong('a day reads day("2026-01-31")')
        place, text = self.word, self.text()
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise self.wrong('a day reads day("2026-01-31")', place)
        try:
            return t.Literal(t.DAY, date.fromisoformat(text))
        except ValueError:
            raise self.wrong("there is no such day in the calendar", place) from None

    def cents(self, word: _Word) -> Node:
        negative = self.accept("-") is not None
        if self.word.kind != "int":
            raise self.wrong(
                "an amount of money reads cents(1500); for a calculation multiply cents by an int"
            )
        number = self.whole(negative=negative)
        return t.Literal(t.CENTS, number.value)

    def until(self, word: _Word) -> Node:
        fact = self.name("the name of a fact")
        self.known(fact, self.vocabulary.facts, "fact")
        return t.Until(fact.text)

    def under(self, word: _Word) -> Node:
        born = self.name("the name of a day, such as birth_date")
        fact = self.known(born, self.vocabulary.facts, "fact")
        if fact.type != t.DAY:
            raise self.wrong(f"under(...) needs a day of birth, but {born.text} is {fact.type}", born)
        self.expect(",", "under reads under(birth_date, 25)")
        place = self.word
        years, at = self.unary(), "today"
        if self.accept(","):
            at = self.name("today or month_start").text
        return self.make(place, lambda: t.Under(born.text, fact.latest, years, at))

    def members(self, word: _Word) -> Node:
        chosen = self.name("a kind of household")
        if chosen.text not in self.vocabulary.households:
            kinds = ", ".join(sorted(self.vocabulary.households)) or "none here"
            raise self.wrong(f"{chosen.text[:60]} is no kind of household; there are {kinds}", chosen)
        self.expect(",", f"{word.text} reads {word.text}({chosen.text}, condition)")
        place, term = self.word, self.expression()
        if word.text != "rank_among":
            build = t.AnyMember if word.text == "any_member" else t.CountMembers
            return self.make(place, lambda: build(chosen.text, term))
        birth = self.vocabulary.birth
        if birth not in self.vocabulary.facts:
            raise self.wrong(f"rank_among tells rank by {birth}, which is no fact here", word)
        latest = self.vocabulary.facts[birth].latest
        return self.make(place, lambda: t.RankAmong(chosen.text, term, birth, latest))


def _listed(what: str, names: Iterable[str]) -> str:
    known = sorted(names)
    return f"there are {', '.join(known)}" if 0 < len(known) <= 30 else f"see the list of every {what}"
