"""Reads rule text: words into a typed tree, or a complaint that says where, what was found and what to write instead.

The only module that knows how a rule is written. The grammar is CEL's, for a closed subset.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from typing import TypeVar

from . import tree as t
from .messages import MOST_LISTED, Detail, Mismatch, RuleError
from .sense import doubt
from .tree import Node, Tree, Vocabulary
from .words import Word, unquote, words

MAX_NESTING = 40
RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
"""Words that CEL keeps for itself; no fact may have such a name."""


def parse(text: str, vocabulary: Vocabulary, *, doubts: list[RuleError] | None = None) -> Tree:
    """The typed tree of a rule text, or a `RuleError` that says where and what to write instead.

    What can be read and yet hardly be meant (a comparison that never holds) is added to `doubts`.
    """
    parser = Parser(words(text), vocabulary, doubts)
    tree = parser.whole_rule()
    found = parser.word
    if found.kind != "end":
        raise parser.wrong(Mismatch("should-end", found=found.text), found)
    return tree


_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    t.OPERATORS | {"in"},
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_Made = TypeVar("_Made")


class Parser:
    """Recursive descent over the words; each method reads one thing and leaves the next word in `word`."""

    def __init__(
        self, found: list[Word], vocabulary: Vocabulary, doubts: list[RuleError] | None = None
    ) -> None:
        self.words, self.vocabulary, self.doubts = found, vocabulary, doubts
        self.position = self.nesting = 0
        self.functions: dict[str, Callable[[Word], Node]] = {
            "least": self.extreme,
            "greatest": self.extreme,
            "under": self.under,
            "until": self.until,
            "day": self.day,
            "cents": self.cents,
            "member": self.member,
            "any_member": self.members,
            "count_members": self.members,
            "rank_among": self.members,
        }

    @property
    def word(self) -> Word:
        return self.words[self.position]

    def whole_rule(self) -> Tree:
        """A rule, up to the first word that does not belong to it."""
        begin = self.word
        try:
            root = self.expression()
        except RecursionError:  # only where the caller itself stands deep already
            raise self.wrong(Mismatch("too-nested", most=MAX_NESTING)) from None
        self.make(begin, lambda: t.measure(root))
        return Tree(root)

    def wrong(self, mismatch: Mismatch, word: Word | None = None) -> RuleError:
        place = word or self.word
        return RuleError(mismatch, place.line, place.column, len(place.text.split("\n")[0]))

    def fail(self, code: str, word: Word | None = None, *, advice: str = "", **params: Detail) -> RuleError:
        return self.wrong(Mismatch(code, advice=advice, **params), word)

    def take(self) -> Word:
        word = self.word
        if word.kind != "end":
            self.position += 1
        return word

    def accept(self, *texts: str) -> Word | None:
        fits = self.word.kind in {"sign", "name"} and self.word.text in texts
        return self.take() if fits else None

    def expect(self, text: str, code: str, **params: Detail) -> Word:
        word = self.accept(text)
        if word is None:
            raise self.fail(code, None, advice="", expected=text, found=self.word.text or "@end", **params)
        return word

    def name(self, code: str) -> Word:
        if self.word.kind != "name":
            raise self.fail(code, found=self.word.text or "@end")
        return self.take()

    def make(self, place: Word, build: Callable[[], _Made]) -> _Made:
        """Builds a node, and says where, if its parts do not fit together."""
        try:
            made = build()
        except Mismatch as error:
            raise self.wrong(error, place) from None
        if self.doubts is not None and isinstance(
            made, t.Not | t.Negative | t.Compare | t.Arithmetic | t.OneOf | t.And | t.Or
        ):
            found = doubt(made)
            if found is not None:
                self.doubts.append(self.wrong(found, place))
        return made

    # --- from the loosest to the tightest -----------------------------------------------------------------

    def expression(self) -> Node:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.fail("too-nested", most=MAX_NESTING)
        cases: list[tuple[Node, Node]] = []
        marks: list[Word] = []
        value = self.binary(0)
        while mark := self.accept("?"):
            then = self.binary(0)
            self.expect(":", "choice-form")
            cases.append((value, then))
            marks.append(mark)
            value = self.binary(0)
        if cases:
            choice, last = tuple(cases), value
            value = self.make(marks[0], lambda: self.choose(choice, last))
        self.nesting -= 1
        return value

    def choose(self, cases: tuple[tuple[Node, Node], ...], last: Node) -> Node:
        told = next((then for _, then in cases if then.type.kind is t.Kind.ENUM), last)
        alike = tuple((when, self.towards(then, told)) for when, then in cases)
        return t.Choose(alike, self.towards(last, told))

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        first = self.binary(level + 1)
        if level < 2:
            return self.chain(first, level)
        length = 0
        while sign := self.accept(*_LEVELS[level]):
            length += 1
            if length > t.MAX_DEPTH:
                # Each sign puts what stands before it one level deeper.
                raise self.fail("too-deep", sign, most=t.MAX_DEPTH)
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

    def relate(self, sign: Word, left: Node, level: int) -> Node:
        if sign.text == "in":
            options = self.options(left)
            return self.make(sign, lambda: t.OneOf(left, options))
        right = self.binary(level + 1)
        return self.make(
            sign, lambda: t.Compare(sign.text, self.towards(left, right), self.towards(right, left))
        )

    def calculate(self, sign: Word, left: Node, level: int) -> Node:
        right = self.binary(level + 1)
        return self.make(sign, lambda: t.Arithmetic(sign.text, left, right))

    def unary(self) -> Node:
        signs: list[Word] = []
        while sign := self.accept("!", "-"):
            signs.append(sign)
            if len(signs) > MAX_NESTING:
                raise self.fail("signs-in-a-row", sign, most=MAX_NESTING)
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
                raise self.fail("no-fractions")
            case "uint":
                raise self.fail("no-unsigned", allowed=word.text[:-1])
            case "end":
                raise self.fail("value-missing-at-end")
        if self.accept("("):
            inner = self.expression()
            self.expect(")", "bracket-open")
            return inner
        if word.text == "[":
            raise self.fail("list-place")
        raise self.fail("value-missing", found=word.text)

    # --- words and values ---------------------------------------------------------------------------------

    def whole(self, *, negative: bool = False) -> t.Literal:
        word = self.take()
        if len(word.text) > 40:
            raise self.fail("number-too-long", word)
        number = int(word.text, 16 if word.text[:2].lower() == "0x" else 10)
        return self.make(word, lambda: t.Literal(t.INT, -number if negative else number))

    def text(self) -> str:
        word = self.take()
        return self.make(word, lambda: unquote(word))

    def named(self) -> Node:
        word = self.take()
        if word.text in {"true", "false"}:
            return t.Literal(t.BOOL, word.text == "true")
        if word.text == "today":
            return t.Today()
        if word.text == "param":
            self.expect(".", "parameter-form")
            chosen = self.name("parameter-name")
            return t.Parameter(
                chosen.text, self.known(chosen, self.vocabulary.parameters, "unknown-parameter")
            )
        if word.text == "null":
            raise self.fail("no-null", word)
        if word.text in RESERVED:
            raise self.fail("reserved-word", word, found=word.text)
        if self.accept("("):
            function = self.known(word, self.functions, "unknown-function")
            node = function(word)
            self.expect(")", "function-open", function=word.text)
            return node
        if word.text in self.vocabulary.households:
            raise self.fail("household-not-fact", word, found=word.text)
        if word.text in self.functions and word.text not in self.vocabulary.facts:
            raise self.fail("function-not-called", word, found=word.text)
        fact = self.known(word, self.vocabulary.facts, "unknown-fact")
        if self.word.text == ".":
            raise self.fail("fact-has-no-parts", word, found=word.text)
        if fact.latest:
            raise self.fail("known-in-part", word, found=word.text)
        return t.Fact(word.text, fact.type)

    def known(self, word: Word, names: Mapping[str, _Made], code: str) -> _Made:
        if word.text in names:
            return names[word.text]
        meant = self.meant(word.text, names) if code == "unknown-fact" else _nearest(word.text, names)
        if meant:
            raise self.fail(code, word, advice="did-you-mean", found=word.text, suggestion=meant)
        listed = tuple(sorted(names))
        if 0 < len(listed) <= MOST_LISTED:
            raise self.fail(code, word, advice="there-are", found=word.text, allowed=listed)
        raise self.fail(code, word, advice="see-the-list" if listed else "", found=word.text)

    def meant(self, name: str, facts: Mapping[str, object]) -> str:
        """What somebody may have meant who wrote a name that is no fact."""
        if name in self.vocabulary.parameters:
            return f"param.{name}"
        if any(name in fact.members for fact in self.vocabulary.facts.values()):
            return f'"{name}"'
        near = _nearest(name, {*facts, *self.vocabulary.households})
        if near:
            return near
        parameter = _nearest(name, self.vocabulary.parameters)
        return f"param.{parameter}" if parameter else ""

    def towards(self, node: Node, other: Node) -> Node:
        """A text beside an enum is one of its members, or a mistake."""
        text = isinstance(node, t.Literal) and node.type == t.STRING
        if not text or other.type.kind is not t.Kind.ENUM:
            return node
        assert isinstance(node, t.Literal)
        members = self.vocabulary.members(other.type.enum)
        if node.value not in members:
            near = _nearest(str(node.value), members)
            raise Mismatch(
                "not-a-member",
                advice="did-you-mean" if near else "",
                found=str(node.value),
                enum=other.type.enum,
                allowed=members,
                suggestion=f'"{near}"',
            )
        return t.Literal(other.type, node.value)

    def options(self, item: Node) -> tuple[t.Literal, ...]:
        self.expect("[", "list-form")
        found: list[t.Literal] = []
        if self.word.text == "," and self.words[self.position + 1].text == "]":
            self.take()
        while not self.accept("]"):
            place = self.word
            node = self.make(place, lambda: self.towards(self.unary(), item))
            if not isinstance(node, t.Literal):
                raise self.fail("list-literals", place)
            found.append(node)
            if self.word.text != "]":
                self.expect(",", "list-commas")
        return tuple(found)

    # --- functions ----------------------------------------------------------------------------------------

    def extreme(self, word: Word) -> Node:
        terms = [self.expression()]
        while self.accept(","):
            terms.append(self.expression())
        return self.make(word, lambda: t.Extreme(word.text, tuple(terms)))

    def day(self, word: Word) -> Node:
        if self.word.kind not in {"string", "raw"}:
            raise self.fail("day-form")
        place, text = self.word, self.text()
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise self.fail("day-form", place)
        try:
            return t.Literal(t.DAY, date.fromisoformat(text))
        except ValueError:
            raise self.fail("no-such-day", place) from None

    def cents(self, word: Word) -> Node:
        negative = self.accept("-") is not None
        if self.word.kind != "int":
            raise self.fail("cents-form")
        number = self.whole(negative=negative)
        return t.Literal(t.CENTS, number.value)

    def member(self, word: Word) -> Node:
        """A member of an enum, where nothing beside it tells which enum is meant."""
        chosen = self.name("enum-name")
        enums = {fact.type.enum: fact for fact in self.vocabulary.facts.values() if fact.type.enum}
        fact = self.known(chosen, enums, "unknown-enum")
        self.expect(",", "member-form", found_enum=chosen.text)
        if self.word.kind not in {"string", "raw"}:
            raise self.fail(
                "member-form", expected='"', found=self.word.text or "@end", found_enum=chosen.text
            )
        place = self.word
        return self.make(
            place, lambda: self.towards(t.Literal(t.STRING, self.text()), t.Fact(chosen.text, fact.type))
        )

    def until(self, word: Word) -> Node:
        fact = self.name("fact-name")
        self.known(fact, self.vocabulary.facts, "unknown-fact")
        return t.Until(fact.text)

    def under(self, word: Word) -> Node:
        born = self.name("birth-name")
        fact = self.known(born, self.vocabulary.facts, "unknown-fact")
        if fact.type != t.DAY:
            raise self.fail("under-of", born, found=born.text, type=str(fact.type))
        self.expect(",", "under-form")
        place = self.word
        years, at = self.unary(), "today"
        if self.accept(","):
            at = self.name("age-day-name").text
        return self.make(place, lambda: t.Under(born.text, fact.latest, years, at))

    def members(self, word: Word) -> Node:
        chosen = self.name("household-name")
        if chosen.text not in self.vocabulary.households:
            kinds = tuple(sorted(self.vocabulary.households))
            near = _nearest(chosen.text, kinds)
            raise self.fail(
                "unknown-household",
                chosen,
                advice="did-you-mean" if near else "",
                found=chosen.text,
                allowed=kinds or "@nothing",
                suggestion=near,
            )
        self.expect(",", "members-form", function=word.text, household=chosen.text)
        place, term = self.word, self.expression()
        if word.text != "rank_among":
            build = t.AnyMember if word.text == "any_member" else t.CountMembers
            return self.make(place, lambda: build(chosen.text, term))
        birth = self.vocabulary.birth
        if birth not in self.vocabulary.facts:
            raise self.fail("no-birth-date", word, found=birth)
        latest = self.vocabulary.facts[birth].latest
        return self.make(place, lambda: t.RankAmong(chosen.text, term, birth, latest))


def _nearest(name: str, names: Iterable[str]) -> str:
    """The known name that looks most like this one; empty if none does."""
    close = difflib.get_close_matches(name[:60].lower(), list(names), 1)
    return close[0] if close else ""
