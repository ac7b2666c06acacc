"""Dortmund's six programmes as somebody would write them down in Python, missing facts included, for a whole city.

It says what the rulebook of the bench's day says: outcome, ground, and cents a month. Left out, to its advantage,
are reasons, days, what is missing by name, birth dates known in part (this city has none) and what is paid in
August and February only.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

from entitlements.language.days import month_start, years_before

HOMES = ("registered_household", "bedarfsgemeinschaft", "wohngeld_household")
FACTS = (
    "deceased",
    "birth_date",
    "main_residence",
    "sgb2",
    "sgb12_gsi",
    "sgb12_hlu",
    "asylblg_2",
    "asylblg_3",
    "sgb8_wjh",
    "wog",
    "kiz",
    "bafoeg",
    "sgb14",
    "elternbeitrag_befreit",
    "kindergeld",
    "kindergeld_recipient",
    "school_stage",
    "school_full_time",
    "training_pay",
    "childcare_enrolment",
    "school_route_m",
    "dangerous_route",
    "nearest_school",
    "school_authority_participates",
    "household_net_income",
    "household_need",
    "learning_need_confirmed",
    "comparable_learning_offer",
    "learning_support_decision",
    "transport_paid_by_others",
)
PROGRAMMES = (
    "dortmund-karte",
    "sozialpass",
    "bildungskarte",
    "deutschlandticket-schule",
    "lernfoerderung",
    "schuelerbefoerderung",
)
LIMITS = {"primary": 2_000, "sek1": 3_500, "sek2": 5_000, "bk_full": 5_000}
"""Metres to school, by stage (§ 5 Abs. 2 SchfkVO NRW)."""
NEED, PARTICIPATION, FIRST, SECOND, SELF_PAYER = 12_000, 1_500, 1_400, 700, 4_300

One = dict[str, Any]
Said = tuple[str, str | None, int]
"""Outcome, ground, and cents a month: paid out as participation, or to be paid for the ticket."""
REFUSED: Said = ("refused", None, 0)
OPEN: Said = ("undetermined", None, 0)
REFER: Said = ("refer", None, 0)


def some(*answers: bool | None) -> bool | None:
    return True if True in answers else None if None in answers else False


def every(*answers: bool | None) -> bool | None:
    return False if False in answers else None if None in answers else True


def no(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def under(born: date | None, limit: date) -> bool | None:
    return None if born is None else born > limit


def among(value: str | None, *wanted: str) -> bool | None:
    return None if value is None else value in wanted


def decide(people: list[One], on: date, alone: frozenset[str]) -> Iterator[tuple[UUID, tuple[Said, ...]]]:
    """What each programme says of each of these people; `alone`: of which households it is known who is in none."""
    limit_25, limit_18 = years_before(on, 25), years_before(month_start(on), 18)
    for one in people:
        _look(one, limit_25, limit_18)
    _share(people, alone)
    for one in people:
        if one["deceased"]:
            yield one["person_id"], (REFUSED,) * len(PROGRAMMES)
            continue
        card = bildungskarte(one)
        ticket = school_ticket(one)
        yield (
            one["person_id"],
            (
                dortmund_karte(one),
                sozialpass(one),
                card,
                ticket,
                lernfoerderung(one, card),
                schuelerbefoerderung(one, card, ticket),
            ),
        )


def _look(one: One, limit_25: date, limit_18: date) -> None:
    """What several programmes ask of a person alone."""
    stage, route = one["school_stage"], one["school_route_m"]
    one["minor"], young = under(one["birth_date"], limit_18), under(one["birth_date"], limit_25)
    school = None if stage is None else stage != "none"
    one["pupil"] = every(young, school, no(every(among(stage, "bk_full", "bk_part"), one["training_pay"])))
    one["in_education"] = every(young, some(school, one["childcare_enrolment"]))
    one["young"] = young
    one["far"] = far(stage, route, LIMITS)
    one["way"] = every(one["nearest_school"], some(one["dangerous_route"], one["far"]))
    one["full_time"] = every(among(stage, *LIMITS), one["school_full_time"])
    one["counts"] = every(one["minor"], one["full_time"], one["school_authority_participates"], one["way"])
    one["poor_recipient"] = every(
        one["kindergeld_recipient"], some(one["sgb2"], one["sgb12_hlu"], one["sgb12_gsi"])
    )


def far(stage: str | None, route: int | None, limits: dict[str, int]) -> bool | None:
    if stage is None:
        # Whoever has no way beyond the shortest limit is near whatever the stage.
        return False if route is not None and route <= min(limits.values()) else None
    if stage not in limits:
        return False
    return None if route is None else route > limits[stage]


def _share(people: list[One], alone: frozenset[str]) -> None:
    """What is asked of households, once for each."""
    homes: dict[str, dict[UUID, list[One]]] = {kind: defaultdict(list) for kind in HOMES}
    for one in people:
        for kind in HOMES:
            if one[kind] is not None:
                homes[kind][one[kind]].append(one)
    asked = {
        "bedarfsgemeinschaft": ("sgb2",),
        "wohngeld_household": ("wog", "kindergeld_recipient"),
        "registered_household": ("kiz", "elternbeitrag_befreit", "poor_recipient"),
    }
    for kind, facts in asked.items():
        nobody = False if kind in alone else None
        for name in facts:
            label = f"{kind}_{name}"
            for one in people:
                one[label] = nobody
            for members in homes[kind].values():
                answer = some(*[member[name] for member in members])
                for one in members:
                    one[label] = answer
    by_itself = "registered_household" in alone
    for one in people:
        one["pupils"] = 0 if by_itself else None
        one["rank"] = 1 if by_itself and one["counts"] else 0 if one["counts"] is False else None
    for members in homes["registered_household"].values():
        answers = [member["in_education"] for member in members]
        pupils = None if None in answers else sum(answers)
        for one in members:
            one["pupils"] = pupils
        _rank([one for one in members if one["counts"] is not False])


def _rank(siblings: list[One]) -> None:
    """The eldest first; open for whoever may have an elder sibling of whom that is not known."""
    for one in siblings:
        one["rank"] = None
        if one["counts"] is None or one["birth_date"] is None:
            continue
        elder = [
            other["counts"] if other["birth_date"] is not None else None
            for other in siblings
            if other is not one
            and (
                other["birth_date"] is None
                or (other["birth_date"], other["person_id"]) < (one["birth_date"], one["person_id"])
            )
        ]
        one["rank"] = None if None in elder else 1 + len(elder)


# --- the programmes -----------------------------------------------------------------------------------------


def _weigh(required: bool | None, grounds: list[tuple[str, bool | None]], *, first: bool) -> Said:
    """The first ground that holds; where each brings something else, one in doubt leaves open those below it."""
    ground, answer = None, some(*[holds for _, holds in grounds])
    for name, holds in grounds:
        if holds:
            ground, answer = name, True
            break
        if holds is None and first:
            answer = None
            break
    if required is False or answer is False:
        return REFUSED
    if required is None or ground is None:
        return OPEN
    return ("granted", ground, 0)


def dortmund_karte(one: One) -> Said:
    grounds = [
        ("sgb2", some(one["sgb2"], one["bedarfsgemeinschaft_sgb2"])),
        ("sgb12_gsi", one["sgb12_gsi"]),
        ("sgb12_hlu", one["sgb12_hlu"]),
        ("asylblg_2", one["asylblg_2"]),
        ("asylblg_3", one["asylblg_3"]),
        ("sgb8_wjh", one["sgb8_wjh"]),
        ("wog", some(one["wog"], one["wohngeld_household_wog"])),
        ("kiz", some(one["kiz"], every(one["young"], one["registered_household_kiz"]))),
        ("bafoeg", one["bafoeg"]),
        ("sgb14", one["sgb14"]),
        (
            "elternbeitrag_befreit",
            some(one["elternbeitrag_befreit"], one["registered_household_elternbeitrag_befreit"]),
        ),
    ]
    return _weigh(one["main_residence"], grounds, first=False)


def sozialpass(one: One) -> Said:
    grounds = [
        ("sgb2", one["sgb2"]),
        ("sgb12_gsi", one["sgb12_gsi"]),
        ("sgb12_hlu", one["sgb12_hlu"]),
        ("sgb8_wjh", one["sgb8_wjh"]),
        ("wog", some(one["wog"], one["wohngeld_household_wog"])),
        ("asylblg_2", one["asylblg_2"]),
        ("asylblg_3", one["asylblg_3"]),
    ]
    return _weigh(True, grounds, first=False)


def _education_grounds(one: One) -> list[tuple[str, bool | None]]:
    lives_on_wog = every(one["kindergeld"], some(one["wog"], one["wohngeld_household_wog"]))
    recipient = one["wohngeld_household_kindergeld_recipient"]
    return [
        ("G2", one["sgb2"]),
        ("G12", some(one["sgb12_hlu"], one["sgb12_gsi"])),
        ("GA", some(one["asylblg_2"], one["asylblg_3"])),
        ("GB_kiz", every(one["kindergeld"], some(one["kiz"], one["registered_household_kiz"]))),
        ("GB_wog", every(lives_on_wog, recipient)),
        ("GB_child_wog", every(lives_on_wog, no(recipient), one["registered_household_poor_recipient"])),
    ]


def bildungskarte(one: One) -> Said:
    part = some(one["minor"], one["pupil"])
    said = _weigh(part, _education_grounds(one), first=True)
    if said is REFUSED and part:
        income, need, pupils = one["household_net_income"], one["household_need"], one["pupils"]
        if None not in {income, need, pupils} and income < need + NEED * pupils:
            return REFER
    if said[0] == "granted" and one["minor"]:
        return ("granted", said[1], PARTICIPATION)
    return said


def school_ticket(one: One) -> Said:
    required = every(one["full_time"], one["school_authority_participates"])
    said = _weigh(required, [("entitled", one["way"]), ("self_payer", True)], first=True)
    if said[1] == "self_payer":
        return ("granted", "self_payer", SELF_PAYER)
    if said[1] == "entitled":
        return ("granted", "entitled", _own_share(one))
    return said


def _own_share(one: One) -> int:
    if one["sgb12_hlu"] is None or (not one["sgb12_hlu"] and one["minor"] is None):
        return 0
    if one["sgb12_hlu"]:
        return 0
    if not one["minor"]:
        return FIRST
    rank = one["rank"]
    return 0 if rank is None else FIRST if rank <= 1 else SECOND if rank == 2 else 0


def lernfoerderung(one: One, card: Said) -> Said:
    waits = _after(card, "granted")
    if waits is not None:
        return waits
    need, offer, decision = (
        one["learning_need_confirmed"],
        one["comparable_learning_offer"],
        one["learning_support_decision"],
    )
    if every(one["pupil"], need, no(offer), among(decision, "none")):
        return REFER
    required = every(one["pupil"], need, no(offer), among(decision, "approved"))
    return _weigh(required, _education_grounds(one), first=True)


def schuelerbefoerderung(one: One, card: Said, ticket: Said) -> Said:
    for said, wanted in ((card, "granted"), (ticket, "refused")):
        waits = _after(said, wanted)
        if waits is not None:
            return waits
    distance = far(one["school_stage"], one["school_route_m"], LIMITS | {"bk_part": 5_000})
    way = every(one["nearest_school"], some(one["dangerous_route"], distance))
    required = every(one["pupil"], way, no(one["transport_paid_by_others"]))
    return _weigh(required, _education_grounds(one), first=True)


def _after(other: Said, wanted: str) -> Said | None:
    """What is said without a look, because another programme comes first."""
    if other[0] == wanted:
        return None
    return REFUSED if other[0] in {"granted", "refused"} else OPEN
