"""Dortmund's rules as OpenFisca has them: variables with formulas over arrays, on entities of persons and households.

Runs in an environment of its own: `python openfisca_city.py city.json answers.json`. OpenFisca knows no missing
fact, so the city that it is given has none.
"""

import json
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from openfisca_core.entities import build_entity
from openfisca_core.periods import DateUnit
from openfisca_core.simulations import SimulationBuilder
from openfisca_core.taxbenefitsystems import TaxBenefitSystem
from openfisca_core.variables import Variable

PERSON = build_entity(key="person", plural="persons", label="", is_person=True)
GROUPS = {
    key: build_entity(
        key=key, plural=f"{key}s", label="", roles=[{"key": "member", "plural": "members", "label": ""}]
    )
    for key in ("registered_household", "bedarfsgemeinschaft", "wohngeld_household")
}
DAY = "2026-09-16"
PERIOD = "2026-09"
STAGES = ("none", "primary", "sek1", "sek2", "bk_full", "bk_part")
LIMITS = {"primary": 2_000, "sek1": 3_500, "sek2": 5_000, "bk_full": 5_000}


def variable(name, kind, formula=None, entity=PERSON):
    said = {"value_type": kind, "entity": entity, "definition_period": DateUnit.MONTH, "label": name}
    return type(name, (Variable,), said | ({"formula": formula} if formula else {}))


def any_member(person, kind, what, period):
    """Whether anybody of the household is so; nobody is where there is none."""
    group = getattr(person, kind)
    return group.any(group.members(what, period)) & person(f"in_{kind}", period)


def dortmund_karte(p, period):
    own = [
        "sgb2", "sgb12_gsi", "sgb12_hlu", "asylblg_2", "asylblg_3", "sgb8_wjh", "wog", "kiz", "bafoeg", "sgb14",
        "elternbeitrag_befreit",
    ]  # fmt: skip
    ground = np.logical_or.reduce([p(name, period) for name in own])
    ground |= any_member(p, "bedarfsgemeinschaft", "sgb2", period)
    ground |= any_member(p, "wohngeld_household", "wog", period)
    ground |= p("under_25", period) & any_member(p, "registered_household", "kiz", period)
    ground |= any_member(p, "registered_household", "elternbeitrag_befreit", period)
    return p("main_residence", period) & ground & ~p("deceased", period)


def sozialpass(p, period):
    own = ["sgb2", "sgb12_gsi", "sgb12_hlu", "sgb8_wjh", "wog", "asylblg_2", "asylblg_3"]
    ground = np.logical_or.reduce([p(name, period) for name in own])
    return (ground | any_member(p, "wohngeld_household", "wog", period)) & ~p("deceased", period)


def education(p, period):
    stage = p("stage", period)
    in_training = np.isin(stage, [STAGES.index("bk_full"), STAGES.index("bk_part")])
    return p("under_25", period) & (stage != 0) & ~(in_training & p("training_pay", period))


def but_ground(p, period):
    """0 none, then G2, G12, GA, GB_kiz, GB_wog, GB_child_wog: the first that holds."""
    kindergeld, wog = p("kindergeld", period), p("wog", period)
    counted = kindergeld & (wog | any_member(p, "wohngeld_household", "wog", period))
    recipient_in = any_member(p, "wohngeld_household", "kindergeld_recipient", period)
    group = p.registered_household
    poor = group.members("kindergeld_recipient", period) & (
        group.members("sgb2", period)
        | group.members("sgb12_hlu", period)
        | group.members("sgb12_gsi", period)
    )
    return np.select(
        [
            p("sgb2", period),
            p("sgb12_hlu", period) | p("sgb12_gsi", period),
            p("asylblg_2", period) | p("asylblg_3", period),
            kindergeld & (p("kiz", period) | any_member(p, "registered_household", "kiz", period)),
            counted & recipient_in,
            counted & ~recipient_in & group.any(poor) & p("in_registered_household", period),
        ],
        [1, 2, 3, 4, 5, 6],
        0,
    )


def bildungskarte(p, period):
    """A ground's number, 0 refused, -1 refer."""
    ground = p("but_ground", period)
    part = p("under_18_month", period) | p("education", period)
    group = p.registered_household
    pupils = group.members("under_25", period) & (
        (group.members("stage", period) != 0) | group.members("childcare_enrolment", period)
    )
    counted = group.sum(pupils) * p("in_registered_household", period)
    poor_only = p("household_net_income", period) < p("household_need", period) + 12_000 * counted
    said = np.where(ground > 0, ground, np.where(poor_only, -1, 0))
    return np.where(p("deceased", period) | ~part, 0, said)


def participation(p, period):
    return np.where((p("bildungskarte", period) > 0) & p("under_18_month", period), 1_500, 0)


def entitled_way(p, period):
    stage, route = p("stage", period), p("school_route_m", period)
    far = np.logical_or.reduce([(stage == STAGES.index(s)) & (route > limit) for s, limit in LIMITS.items()])
    return p("nearest_school", period) & (p("dangerous_route", period) | far)


def full_time_pupil(p, period):
    stages = [STAGES.index(stage) for stage in LIMITS]
    return np.isin(p("stage", period), stages) & p("school_full_time", period)


def ticket(p, period):
    """0 refused, 1 entitled, 2 pays the ticket."""
    held = p("full_time_pupil", period) & p("school_authority_participates", period) & ~p("deceased", period)
    return np.where(held, np.where(p("entitled_way", period), 1, 2), 0)


def ticket_cents(p, period):
    counted = (
        p("under_18_month", period)
        & p("full_time_pupil", period)
        & p("school_authority_participates", period)
        & p("entitled_way", period)
    )
    # The eldest first, and between two of one day the one with the smaller key: persons come in that order.
    rank = p.get_rank(p.registered_household, p("seniority", period), condition=counted) + 1
    shared = np.select([rank <= 1, rank == 2], [1_400, 700], 0)
    minor = p("under_18_month", period)
    own = np.where(p("sgb12_hlu", period), 0, np.where(~minor, 1_400, shared))
    return np.select([p("ticket", period) == 1, p("ticket", period) == 2], [own, 4_300], 0)


BOOLEANS = (
    "main_residence", "deceased", "sgb2", "sgb12_hlu", "sgb12_gsi", "asylblg_2", "asylblg_3", "sgb8_wjh", "kiz",
    "wog", "bafoeg", "sgb14", "elternbeitrag_befreit", "kindergeld", "kindergeld_recipient", "school_full_time",
    "training_pay", "childcare_enrolment", "dangerous_route", "nearest_school", "school_authority_participates",
)  # fmt: skip
NUMBERS = ("school_route_m", "household_net_income", "household_need")
FORMULAS = {
    "dortmund_karte": (bool, dortmund_karte),
    "sozialpass": (bool, sozialpass),
    "education": (bool, education),
    "but_ground": (int, but_ground),
    "bildungskarte": (int, bildungskarte),
    "participation": (int, participation),
    "entitled_way": (bool, entitled_way),
    "full_time_pupil": (bool, full_time_pupil),
    "ticket": (int, ticket),
    "ticket_cents": (int, ticket_cents),
}
ASKED = ("dortmund_karte", "sozialpass", "bildungskarte", "participation", "ticket", "ticket_cents")


def system():
    entities = [PERSON, *GROUPS.values()]
    built = TaxBenefitSystem(entities)
    derived = ("under_25", "under_18_month", *(f"in_{kind}" for kind in GROUPS))
    inputs = {**dict.fromkeys((*BOOLEANS, *derived), bool), "stage": int}
    inputs |= dict.fromkeys(NUMBERS, int)
    inputs["seniority"] = float
    for name, kind in inputs.items():
        built.add_variable(variable(name, kind))
    for name, (kind, formula) in FORMULAS.items():
        built.add_variable(variable(name, kind, formula))
    return built


def years_before(day, years):
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return date(day.year - years, 2, 28)


def build(rules, city):
    columns, persons = city["columns"], len(city["columns"]["key"])
    builder = SimulationBuilder()
    builder.create_entities(rules)
    builder.declare_person_entity("person", np.arange(persons))
    for kind in GROUPS:
        # Here everybody is in a household of each kind: whoever is in none is put into one of their own.
        homes = [home if home is not None else f"alone {at}" for at, home in enumerate(columns[kind])]
        names, where = np.unique(np.array(homes), return_inverse=True)
        group = builder.declare_entity(kind, names)
        builder.join_with_persons(group, names[where], ["member"] * persons)
    simulation = builder.build(rules)
    today = date.fromisoformat(DAY)
    born = np.array(columns["birth_date"], dtype="datetime64[D]")
    derived = {
        "under_25": born > np.datetime64(years_before(today, 25)),
        "under_18_month": born > np.datetime64(years_before(today.replace(day=1), 18)),
        "stage": np.array([STAGES.index(stage) for stage in columns["school_stage"]]),
        "seniority": born.astype("int64") * float(persons) + np.arange(persons),
    }
    for name in (*BOOLEANS, *NUMBERS):
        derived[name] = np.array(columns[name])
    for kind in GROUPS:
        derived[f"in_{kind}"] = np.array([home is not None for home in columns[kind]])
    for name, values in derived.items():
        simulation.set_input(name, PERIOD, values)
    return simulation


def main():
    city = json.loads(Path(sys.argv[1]).read_text())
    rules = system()
    begun = time.perf_counter()
    simulation = build(rules, city)
    built = time.perf_counter()
    answers = {name: simulation.calculate(name, PERIOD) for name in ASKED}
    ended = time.perf_counter()
    said = {name: [int(value) for value in values] for name, values in answers.items()}
    seconds = {"build": built - begun, "decide": ended - built}
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "answers": said}))


if __name__ == "__main__":
    main()
