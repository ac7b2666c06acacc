"""What is asked of the members of a household: how many it holds of, and where among them a person stands."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, case, column, false, func, not_, or_, select, true
from sqlalchemy.sql.elements import ColumnClause, Grouping
from sqlalchemy.sql.selectable import FromClause, Select
from sqlalchemy.types import TypeEngine

from entitlements.language import tree as t
from entitlements.language.tree import Node
from entitlements.language.values import PRECISE

from .expressions import (
    BOOLEAN,
    DAY,
    NUMBER,
    any_bit,
    is_before,
    names_in,
    not_false,
    number,
    one_or_zero,
    or_zero,
    whole,
)
from .layers import Beside, Layers
from .rows import Expression
from .said import Missing, Said

_COUNTABLE = (0, 2**40)
OF_HOUSEHOLDS = (t.AnyMember, t.CountMembers, t.RankAmong)


class Households:
    """The households of some rules, all looked at beside one layer."""

    def __init__(self, layers: Layers, missing: Missing) -> None:
        self.layers, self.missing = layers, missing
        self._of_members: dict[Node, Said] = {}
        """What is asked of each member."""
        self._counted: dict[str, dict[Node, int]] = {}
        """By kind of household, the places of what is counted in it."""
        self._placed: dict[Node | str, str] = {}
        """By kind of household, or rank, the name of what stands beside the layer."""

    def gather(self, nodes: Iterable[Node], ask: Callable[[Node], Said]) -> None:
        """Asks first whatever these nodes ask of members, so that all households are looked at in one place.

        A layer that is named twice is read twice by the planner of SQLite, with all below it: households here
        and there on the way up would double the statement each time.
        """
        found = dict.fromkeys(node for node in nodes if isinstance(node, OF_HOUSEHOLDS))
        for node in found:
            self._of_members[node.term] = said = ask(node.term)
            self.layers.level = max(self.layers.level, said.layer)
        for node in found:
            if isinstance(node, t.RankAmong):
                self.layers.beside.append(
                    self._ranks(node, f"{self.layers.prefix}k{len(self.layers.beside)}")
                )
                self._placed[node] = self.layers.beside[-1].name
            else:
                self._counted.setdefault(node.household, {}).setdefault(
                    node.term, len(self._counted[node.household])
                )
        for household, terms in self._counted.items():
            self.layers.beside.append(
                self._counts(household, terms, f"{self.layers.prefix}h{len(self.layers.beside)}")
            )
            self._placed[household] = self.layers.beside[-1].name

    def _counts(self, household: str, terms: Mapping[Node, int], name: str) -> Beside:
        """Of each household in which something asked is not false for everybody: for how many it holds, or is open."""
        own, _ = self.layers.household(household)
        columns: list[Expression] = [own.label(f"{name}_household")]
        concerned: list[Expression] = []
        uses = names_in(own)
        for term, place in terms.items():
            said = self._of_members[term]
            uses |= names_in(said.value, *([] if said.open is None else [said.open]))
            columns += [
                func.sum(one_or_zero(whole(said.value))).label(f"{name}_yes{place}"),
                func.sum(one_or_zero(said.value.is_(None))).label(f"{name}_open{place}"),
            ]
            if self.missing.tells_apart(said.names, fails=said.fails):
                columns += self._bits_among(
                    said.names, or_zero(self.missing.mask(said)), f"{name}_missing{place}"
                )
            concerned.append(not_false(said.value, may_be_null=said.may_be_null))

        def build(layer: FromClause) -> Select[Any]:
            return select(*columns).select_from(layer).where(own.is_not(None), or_(*concerned)).group_by(own)

        return Beside(name, own.name, f"{name}_household", uses, build)

    def _bits_among(self, names: Iterable[str], mask: Expression, label: str) -> list[Expression]:
        """What is missing for anybody: bit by bit, for not every database joins the bits of many rows."""
        bits = self.missing.bits_of(names)
        return [func.max(whole(mask).bitwise_and(number(bit))).label(f"{label}_{bit}") for bit in bits]

    def _missing_beside(self, label: str, names: frozenset[str]) -> Expression:
        parts = [column(f"{label}_{bit}", NUMBER) for bit in self.missing.bits_of(names)]
        return func.coalesce(or_zero(any_bit(parts)), number(0))

    def _of_household(
        self, household: str, said: Said, value: Expression, open_: Expression | None, type_: TypeEngine[Any]
    ) -> Said:
        """An answer by name: what stands beside a layer is seen only from the next one."""
        made = self.layers.name(value, self.layers.level, type_)
        kept = None if open_ is None else self.layers.name(open_, self.layers.level, NUMBER)
        return Said(made, kept, said.names | {household}, said.fails, self.layers.level + 1)

    def _counted_in(
        self, node: t.AnyMember | t.CountMembers
    ) -> tuple[Said, Callable[[str], Expression], Expression]:
        """What is asked of the members, how to read what was counted, and what is missing among them."""
        said, place = self._of_members[node.term], self._counted[node.household][node.term]
        name = self._placed[node.household]

        def beside(what: str) -> Expression:
            # Households in which it is false for everybody are not counted at all.
            return func.coalesce(column(f"{name}_{what}{place}", NUMBER), number(0))

        missing = self._missing_beside(f"{name}_missing{place}", said.names) if said.names else number(0)
        return said, beside, missing

    def any_member(self, node: t.AnyMember) -> Said:
        """Whether it holds of anybody in the household."""
        said, beside, missing = self._counted_in(node)
        own, alone = self.layers.household(node.household)
        yes = beside("yes") > number(0)
        value = case(
            (own.is_(None), case((alone, false()))), (yes, true()), (beside("open") == number(0), false())
        )
        open_ = None
        if self.missing.tells_apart(said.names | {node.household}, fails=said.fails):
            unheard = case((alone, number(0)), else_=self.missing.bit(node.household))
            open_ = case((own.is_(None), unheard), (yes, number(0)), else_=missing)
        return self._of_household(node.household, said, value, open_, BOOLEAN)

    def count_members(self, node: t.CountMembers) -> Said:
        """Of how many in the household it holds."""
        said, beside, missing = self._counted_in(node)
        own, alone = self.layers.household(node.household)
        value = case((own.is_(None), case((alone, number(0)))), (beside("open") == number(0), beside("yes")))
        open_ = None
        if self.missing.tells_apart(said.names | {node.household}, fails=said.fails):
            unheard = case((alone, number(0)), else_=self.missing.bit(node.household))
            open_ = case((own.is_(None), unheard), else_=missing)
        counted = self._of_household(node.household, said, value, open_, NUMBER)
        return replace(counted, span=_COUNTABLE)

    def _born(self, node: t.RankAmong) -> tuple[ColumnClause[Any], ColumnClause[Any]]:
        """The first and the last possible day of birth."""
        born = self.layers.stated(node.born)
        if not node.latest:
            return born, born
        first, last = self.layers.rows.cell(node.born).value, self.layers.rows.cell(node.latest).value
        # A last possible day before the first one says nothing.
        bounded = case((last > first, last), else_=first)
        return born, self.layers.from_row(f"latest of {node.born}", node.latest, bounded, DAY)

    def _ranks(self, node: t.RankAmong, name: str) -> Beside:
        """For whoever counts: how many others are surely older, and whether that is open."""
        said, key = self._of_members[node.term], self.layers.key()
        own, _ = self.layers.household(node.household)
        born, latest = self._born(node)
        names = said.names | {node.household, node.born, node.born + PRECISE}

        def build(layer: FromClause) -> Select[Any]:
            me, other = layer.alias(f"{name}_me"), layer.alias(f"{name}_other")

            def at(whose: FromClause, what: Expression) -> Expression:
                return whose.c[what.name] if isinstance(what, ColumnClause) else what

            counts = at(other, said.value)
            surely = is_before(at(other, latest), at(other, key), at(me, born), at(me, key))
            maybe = is_before(at(other, born), at(other, key), at(me, latest), at(me, key))
            unborn = at(other, born).is_(None)
            doubtful = or_(unborn, and_(maybe, not_(Grouping(surely))), and_(surely, counts.is_(None)))
            columns: list[Expression] = [
                at(me, key).label(f"{name}_key"),
                func.sum(one_or_zero(surely)).label(f"{name}_older"),
                func.sum(one_or_zero(doubtful)).label(f"{name}_doubts"),
            ]
            if self.missing.tells_apart(names, fails=said.fails):
                open_ = None if said.open is None else at(other, said.open)
                theirs = self.missing.mask(replace(said, value=counts, open=open_))
                missing = case(
                    (unborn, self.missing.bit(node.born)),
                    (surely, or_zero(theirs)),
                    (maybe, or_zero(any_bit([theirs, self.missing.bit(node.born + PRECISE)]))),
                    else_=number(0),
                )
                columns += self._bits_among(names, missing, f"{name}_missing")
            together = and_(at(other, own) == at(me, own), at(other, key) != at(me, key))
            both = [not_false(at(whose, said.value), may_be_null=said.may_be_null) for whose in (me, other)]
            return select(*columns).select_from(me.join(other, together)).where(*both).group_by(at(me, key))

        uses = names_in(own, born, latest, key, said.value, *([] if said.open is None else [said.open]))
        return Beside(name, key.name, f"{name}_key", uses, build)

    def rank_among(self, node: t.RankAmong) -> Said:
        """One more than those who are surely older; open while somebody may or may not be."""
        said, name = self._of_members[node.term], self._placed[node]
        own, alone = self.layers.household(node.household)
        born, _ = self._born(node)
        names = said.names | {node.household, node.born, node.born + PRECISE}
        settled = or_(own.is_not(None), alone)
        older, doubts = (
            func.coalesce(column(f"{name}_{what}", NUMBER), number(0)) for what in ("older", "doubts")
        )
        value = case(
            (not_(whole(said.value)), number(0)),
            (and_(whole(said.value), born.is_not(None), settled, doubts == number(0)), older + number(1)),
        )
        open_ = None
        if self.missing.tells_apart(names, fails=said.fails):
            unheard = case((settled, number(0)), else_=self.missing.bit(node.household))
            unborn = case((and_(settled, born.is_(None)), self.missing.bit(node.born)), else_=number(0))
            others = self._missing_beside(f"{name}_missing", names)
            masks = any_bit([self.missing.mask(said), unheard, unborn, others])
            open_ = case((not_(whole(said.value)), number(0)), else_=or_zero(masks))
        ranked = self._of_household(node.household, replace(said, names=names), value, open_, NUMBER)
        return replace(ranked, span=_COUNTABLE)
