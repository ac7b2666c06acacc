"""Bugs that a SQL back end can have, as small changes to its source."""

from pathlib import Path

from entitlements.language import sql
from tests.mutants import Mutant

ROOM = Path(sql.__file__).parent


MUTANTS = (
    Mutant(
        "a choice takes its other value while the condition is unknown",
        "compiler.py",
        "            if when.may_be_null:\n                stop",
        "            if not when.may_be_null:\n                stop",
    ),
    Mutant(
        "an empty list settles even what is missing",
        "compiler.py",
        "case((item.is_not(None), false()))",
        "case((item.is_not(None), false()), else_=false())",
    ),
    Mutant(
        "the greatest is told without asking what is missing",
        "compiler.py",
        "return type_coerce(case(*wins), type_)",
        'return (func.least if which == "least" else func.greatest)(*values)',
        only_on_postgres=True,
    ),
    Mutant(
        "the birthday itself still counts as younger",
        "compiler.py",
        "case((first > limit, true()), (last",
        "case((first >= limit, true()), (last",
    ),
    Mutant(
        "the last possible day of birth is not looked at",
        "compiler.py",
        "(last > limit, null()), (first",
        "(first",
    ),
    Mutant(
        "every age is asked for today",
        "compiler.py",
        'years_before(on if at == "today" else month_start(on), ',
        "years_before(on, ",
    ),
    Mutant(
        "what has no end has no last day",
        "compiler.py",
        "func.coalesce(self.day(cell.until), no_end)",
        "self.day(cell.until)",
    ),
    Mutant(
        "the last day is over already",
        "compiler.py",
        "cell.until >= today",
        "cell.until > today",
    ),
    Mutant(
        "yes until June says nothing of July",
        "compiler.py",
        "[(cell.value, false())] if node.type.kind is Kind.BOOL else []",
        "[]",
    ),
    Mutant(
        "every fact is taken for known",
        "compiler.py",
        "names = frozenset() if cell.always_known and not dated else frozenset({node.name})",
        "names = frozenset()",
    ),
    Mutant(
        "an overflow outweighs what is missing on its right",
        "compiler.py",
        "open_ = any_bit(self.missing.mask(part) for part in parts)",
        "open_ = self.missing.mask(parts[0])",
    ),
    Mutant(
        "what a decided side missed is still missing",
        "compiler.py",
        "open_ = case((settled.value.is_(None), missing), else_=number(0))",
        "open_ = missing",
    ),
    Mutant(
        "whose household is unknown has none",
        "households.py",
        "(own.is_(None), case((alone, false()))), (yes, true())",
        "(own.is_(None), false()), (yes, true())",
    ),
    Mutant(
        "a silent member says no",
        "households.py",
        '(yes, true()), (beside("open") == number(0), false())',
        "(yes, true()), else_=false()",
    ),
    Mutant(
        "members of whom nothing is known are left out of the count",
        "households.py",
        'case((alone, number(0)))), (beside("open") == number(0), beside("yes")))',
        'case((alone, number(0)))), else_=beside("yes"))',
    ),
    Mutant(
        "twins share a place",
        "expressions.py",
        "or_(day < other_day, and_(day == other_day, key < other_key))",
        "day < other_day",
    ),
    Mutant(
        "a birth date known in part counts as its first day",
        "households.py",
        "surely = is_before(at(other, latest),",
        "surely = is_before(at(other, born),",
    ),
    Mutant(
        "whoever does not count still makes others younger",
        "households.py",
        "for whose in (me, other)]",
        "for whose in (me,)]",
    ),
    Mutant(
        "one can be in doubt about being older than oneself",
        "households.py",
        "at(other, own) == at(me, own), at(other, key) != at(me, key)",
        "at(other, own) == at(me, own), true()",
    ),
    Mutant(
        "a sum may be one too large",
        "numbers.py",
        "low, high = INT_MIN - fixed, INT_MAX - fixed",
        "low, high = INT_MIN - fixed, INT_MAX - fixed + 1",
    ),
    Mutant(
        "a negative factor has the limits of a positive one",
        "numbers.py",
        "(INT_MIN, INT_MAX) if fixed > 0 else (INT_MAX, INT_MIN)",
        "(INT_MIN, INT_MAX)",
    ),
    Mutant(
        "what is taken away has the limits of that from which it is taken",
        "numbers.py",
        'sign == "-" and side == "right"',
        'sign == "-"',
    ),
    Mutant(
        "the sign of what is missing is guessed",
        "numbers.py",
        "(b > zero, a >= over(_MIN, b)),",
        "else_=a >= over(_MIN, b),",
        only_on_postgres=True,
    ),
    Mutant(
        "brackets around products are dropped",
        "numbers.py",
        "return a.op(sign, return_type=NUMBER)(b)",
        'return a * b if sign == "*" else a.op(sign, return_type=NUMBER)(b)',
    ),
    Mutant(
        "a remainder is taken for a quotient",
        "numbers.py",
        "return a.op(sign, return_type=NUMBER)(b)",
        'return a.op("/" if sign == "%" else sign, return_type=NUMBER)(b)',
    ),
    Mutant(
        "the least number can be divided by a fixed minus one",
        "numbers.py",
        "return (INT_MIN + 1, INT_MAX) if fixed == -1 else ANYTHING",
        "return ANYTHING",
    ),
    Mutant(
        "the least number can be divided by any minus one",
        "numbers.py",
        "or_(b != number(-1), a > _MIN)",
        "or_(b != number(-1), a >= _MIN)",
    ),
    Mutant(
        "a fixed dividend has the limits of a divisor",
        "compiler.py",
        'if sign in DIVISIONS and side == "left":',
        'if sign in DIVISIONS and side == "above":',
    ),
    Mutant(
        "a divisor that may be zero always has a quotient",
        "numbers.py",
        "if other[0] <= 0 <= other[1] or (",
        "if (",
    ),
    Mutant(
        "a fixed zero divides",
        "numbers.py",
        "return 1, 0",
        "return ANYTHING",
        only_on_postgres=True,
    ),
    Mutant(
        "zero divides whoever has it",
        "numbers.py",
        "return and_(b != number(0), or_(",
        "return and_(or_(",
        only_on_postgres=True,
    ),
)
