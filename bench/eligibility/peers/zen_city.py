"""Dortmund's rules as zen-engine has them: one JDM graph of expressions, asked person by person.

Runs in an environment of its own: `python zen_city.py city.json answers.json`. What is asked of a household is worked
out in Python first, since zen sees one person at a time.
"""

import json
import sys
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import zen
from openfisca_city import ASKED, DAY, LIMITS, STAGES, years_before

WITH_WHOM = {
    "bedarfsgemeinschaft": ("sgb2",),
    "wohngeld_household": ("wog", "kindergeld_recipient"),
    "registered_household": ("kiz", "elternbeitrag_befreit", "poor_recipient"),
}
LATER = "(stage == 'primary' and route > 2000 or stage == 'sek1' and route > 3500 or stage in ['sek2', 'bk_full'] and route > 5000)"
FIRST = {
    "education": "under_25 and stage != 'none' and not (stage in ['bk_full', 'bk_part'] and training_pay)",
    "counted": "kindergeld and (wog or any_wog)",
    "way": f"nearest_school and (dangerous_route or {LATER})",
    "pupil": "stage in ['primary', 'sek1', 'sek2', 'bk_full'] and school_full_time and school_authority_participates",
    "dortmund_karte": (
        "main_residence and not deceased and (sgb2 or any_sgb2 or sgb12_gsi or sgb12_hlu or asylblg_2 or asylblg_3 "
        "or sgb8_wjh or wog or any_wog or kiz or under_25 and any_kiz or bafoeg or sgb14 or elternbeitrag_befreit "
        "or any_elternbeitrag_befreit)"
    ),
    "sozialpass": (
        "not deceased and (sgb2 or sgb12_gsi or sgb12_hlu or sgb8_wjh or wog or any_wog or asylblg_2 or asylblg_3)"
    ),
    "ground": (
        "sgb2 ? 1 : sgb12_hlu or sgb12_gsi ? 2 : asylblg_2 or asylblg_3 ? 3 : kindergeld and (kiz or any_kiz) ? 4 "
        ": $.counted and any_kindergeld_recipient ? 5 "
        ": $.counted and not any_kindergeld_recipient and any_poor_recipient ? 6 : 0"
    ),
    "bildungskarte": (
        "deceased or not (under_18_month or $.education) ? 0 : $.ground > 0 ? $.ground "
        ": household_net_income < household_need + 12000 * pupils ? -1 : 0"
    ),
    "participation": "$.bildungskarte > 0 and under_18_month ? 1500 : 0",
    "ticket": "$.pupil and not deceased ? ($.way ? 1 : 2) : 0",
    "ticket_cents": (
        "$.ticket == 0 ? 0 : $.ticket == 2 ? 4300 : sgb12_hlu ? 0 : not under_18_month ? 1400 "
        ": rank <= 1 ? 1400 : rank == 2 ? 700 : 0"
    ),
}


def graph():
    expressions = [{"id": name, "key": name, "value": value} for name, value in FIRST.items()]
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "position": {"x": 0, "y": 0}},
        {
            "id": "rules",
            "name": "rules",
            "type": "expressionNode",
            "position": {"x": 1, "y": 0},
            "content": {"expressions": expressions},
        },
        {"id": "out", "name": "out", "type": "outputNode", "position": {"x": 2, "y": 0}},
    ]
    edges = [
        {"id": "1", "sourceId": "in", "targetId": "rules", "type": "edge"},
        {"id": "2", "sourceId": "rules", "targetId": "out", "type": "edge"},
    ]
    return json.dumps({"nodes": nodes, "edges": edges})


def persons(city):
    """One mapping a person, with what is asked of their households worked out."""
    columns, today = city["columns"], date.fromisoformat(DAY)
    young, minor = years_before(today, 25).isoformat(), years_before(today.replace(day=1), 18).isoformat()
    names = list(columns)
    found = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    homes = {kind: defaultdict(list) for kind in WITH_WHOM}
    for at, one in enumerate(found):
        one["stage"], one["route"] = one.pop("school_stage"), one.pop("school_route_m")
        one["under_25"], one["under_18_month"] = one["birth_date"] > young, one["birth_date"] > minor
        one["poor_recipient"] = one["kindergeld_recipient"] and (
            one["sgb2"] or one["sgb12_hlu"] or one["sgb12_gsi"]
        )
        one["rank"], one["pupils"], one["at"] = 0, 0, at
        for kind, facts in WITH_WHOM.items():
            one.update(dict.fromkeys((f"any_{fact}" for fact in facts), False))
            if one[kind] is not None:
                homes[kind][one[kind]].append(one)
    for kind, facts in WITH_WHOM.items():
        for home in homes[kind].values():
            for fact in facts:
                if any(one[fact] for one in home):
                    for one in home:
                        one[f"any_{fact}"] = True
    for home in homes["registered_household"].values():
        pupils = sum(
            one["under_25"] and (one["stage"] != "none" or one["childcare_enrolment"]) for one in home
        )
        ranked = sorted((one for one in home if _counts(one)), key=lambda one: (one["birth_date"], one["at"]))
        for place, one in enumerate(ranked, 1):
            one["rank"] = place
        for one in home:
            one["pupils"] = pupils
    return found


def _counts(one):
    far = one["stage"] in LIMITS and one["route"] > LIMITS[one["stage"]]
    return (
        one["under_18_month"]
        and one["stage"] in LIMITS
        and one["school_full_time"]
        and one["school_authority_participates"]
        and one["nearest_school"]
        and (one["dangerous_route"] or far)
    )


def main():
    city = json.loads(Path(sys.argv[1]).read_text())
    assert set(city["columns"]["school_stage"]) <= set(STAGES)
    decision = zen.ZenEngine().create_decision(graph())
    begun = time.perf_counter()
    given = persons(city)
    built = time.perf_counter()
    made = [decision.evaluate(one)["result"] for one in given]
    ended = time.perf_counter()
    answers = {name: [int(one[name]) for one in made] for name in ASKED}
    seconds = {"build": built - begun, "decide": ended - built}
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "answers": answers}))


if __name__ == "__main__":
    main()
