"""The walk: a family moves in, the Jobcenter reports, and a card is shown at the pool until the fact has ended.

Everything is done through the public API, by those who would do it: a register, a holder with a phone, a venue's
scanner, somebody at the desk, an auditor. Each run makes a family of its own, so the walk can be told again and
again on the same server; only the demo's clock moves on.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from app.demo import names
from app.demo.city import Period
from app.demo.telling import Row, fact, household, ndjson
from app.walk.keeping import Drawer, NotThere
from app.walk.machine import ClientFile, Delivered, Machine, deliver
from app.walk.phone import Phone
from app.walk.scanner import Scanner
from app.walk.staff import Staff
from app.walk.telling import Teller
from app.walk.wire import Refused, Wire
from core.clock import day_of
from wallet.codes.picture import LARGEST_LIVE, LARGEST_PRINTED, read_picture, smallest_version

ZONE = ZoneInfo("Europe/Berlin")
PATIENCE = 30.0
"""Seconds for which a message or a job is waited for."""
POOL, ADULT, CHILD = "Nordbad", 200, 50
"""Where the story goes swimming, and the reduced prices there in cents."""
OPENS, CLOSES = 8, 20
"""When the pool opens and closes."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the family, with the numbers by which two departments know them."""

    given: str
    family: str
    born: date
    resident: str
    jobcenter: str


class Walk:
    """One run."""

    def __init__(self, wire: Wire, clients: Path, home: Path, teller: Teller) -> None:
        self.wire, self.say = wire, teller
        self._home = home
        self.residents = Machine(wire, ClientFile.read(clients / "melderegister.json"))
        self.jobcenter = Machine(wire, ClientFile.read(clients / "jobcenter.json"))
        self.desk, self.manager, self.auditor = (
            Staff(wire, account) for account in ("sachbearbeitung", "partner", "revision")
        )
        self.phone = Phone(wire, Drawer(home / "phone"))
        self.till = Scanner(wire, Drawer(home / "scanner"))
        self._run = uuid4().hex[:10]
        self.account = f"neu-{self._run}"
        self.household, self.community = f"HH-{self._run}", f"BG-{self._run}"
        self.persons: dict[str, str] = {}
        """The person of each resident number."""

    def tell(self) -> None:
        """The whole story; StepFailed names the first step that did not happen."""
        for part in (
            self.the_pool_gets_a_scanner,
            self.a_family_moves_in,
            self.the_jobcenter_delivers,
            self.the_desk_says_who_they_are,
            self.the_parent_gets_in,
            self.the_family_is_entitled,
            self.the_inbox_has_it,
            self.the_phone_holds_the_card,
            self.the_code_is_read_and_accepted,
            self.the_screenshot_is_too_late,
            self.the_second_use_is_refused,
            self.the_replay_is_refused,
            self.without_a_network,
            self.the_child_has_an_allowance,
            self.the_child_goes_swimming,
            self.paper_from_the_desk,
            self.the_fact_ends,
            self.the_card_holds_through_the_grace,
            self.the_card_is_refused,
            self.the_auditor_verifies,
        ):
            part()

    # ---- before the first card ----

    def the_pool_gets_a_scanner(self) -> None:
        with self.say.step(
            f"Im {POOL} wird ein Prüfgerät angemeldet", f"A scanner is enrolled at the pool, {POOL}"
        ):
            self._wait_for_the_pool_to_open()
            venues = self.wire.get("/v1/venues")
            pool = next((venue for venue in venues if venue["name"] == POOL), None)
            if pool is None:
                self.say.fail(f"es gibt keinen Ort {POOL}", f"there is no venue {POOL}")
            code = self.manager.ask("POST", f"/v1/venues/{pool['id']}/scanner-codes")
            enrolled = self.till.enrol(code["code"], "Kasse 1")
            self.say.tell(
                f"Einmalcode {code['code'][:5]}-…, danach unterschreibt das Gerät selbst ({enrolled['key_id'][:8]}…)",
                f"one-time code {code['code'][:5]}-…, from then on the device signs ({enrolled['key_id'][:8]}…)",
            )

    def a_family_moves_in(self) -> None:
        self.parent, self.child = self._family(self._run)
        with self.say.step(
            "Das Melderegister meldet: eine Familie zieht zu",
            "The residents' register reports: a family moves in",
        ):
            today = self._today()
            # Each walk has a house of its own: the same name in the same house would be somebody known already.
            home = f"Münsterstraße {random.randrange(1, 1000)}"  # noqa: S311  (an address for a story)
            rows: list[Row] = []
            for member in (self.parent, self.child):
                rows.append(
                    {
                        "row": "person",
                        "number": member.resident,
                        "given_name": member.given,
                        "family_name": member.family,
                        "birth_date": member.born.isoformat(),
                        "street": home,
                        "postcode": "44145",
                        "town": "Dortmund",
                    }
                )
                rows.append(fact(member.resident, "main_residence", value=True, period=Period(today)))
            members = [self.parent.resident, self.child.resident]
            rows.append(household(self.household, "registered_household", members, Period(today)))
            self._delivered(self.residents, rows, accepted=len(rows))
            self.say.tell(
                f"{self.parent.given} {self.parent.family} mit {self.child.given}, 9 Jahre",
                f"{self.parent.given} {self.parent.family} with {self.child.given}, 9 years old",
            )

    def the_jobcenter_delivers(self) -> None:
        with self.say.step(
            "Das Jobcenter meldet: die Familie erhält Grundsicherungsgeld",
            "The Jobcenter reports: the family receives basic income support",
        ):
            first = self._today().replace(day=1)
            rows = self._benefit(Period(first, _last_day(first, 11)))
            delivered = self._delivered(self.jobcenter, rows)
            self.say.need(
                delivered.results.get("no-link") == len(rows),
                f"die Nummern sollten noch niemanden bedeuten: {delivered.results}",
                f"the numbers should mean nobody yet: {delivered.results}",
            )
            self.say.tell(
                "Die Nummern des Jobcenters kennt hier noch niemand; die Zeilen warten.",
                "Nobody here knows the Jobcenter's numbers yet; the rows wait.",
            )

    def the_desk_says_who_they_are(self) -> None:
        with self.say.step(
            "Die Sachbearbeitung ordnet die Nummern zu", "The case worker says whom the numbers mean"
        ):
            registers = self.desk.ask("GET", "/v1/registers")
            residents = next(each["id"] for each in registers if each["kind"] == "melderegister")
            waiting = self._reviews()
            for member in (self.parent, self.child):
                found = self.desk.ask(
                    "POST", "/v1/people/search", {"register_id": residents, "number": member.resident}
                )
                self.say.need(len(found) == 1, "die Person fehlt", "the person is missing")
                self.persons[member.resident] = found[0]["person_id"]
                review = waiting.get(member.jobcenter)
                if review is None:
                    self.say.fail("die Nummer wartet nicht", "the number does not wait")
                self.desk.ask("POST", f"/v1/reviews/{review}/link", {"person_id": found[0]["person_id"]})
                self.say.tell(
                    f"{member.jobcenter} ist {found[0]['given_name']} {found[0]['family_name']}",
                    f"{member.jobcenter} is {found[0]['given_name']} {found[0]['family_name']}",
                )

    def the_parent_gets_in(self) -> None:
        with self.say.step(
            f"{self.parent.given} meldet sich an und gibt den Code vom Schalter ein",
            f"{self.parent.given} signs in and enters the code from the desk",
        ):
            own, child = self._person(self.parent), self._person(self.child)
            code = self.desk.ask("POST", f"/v1/people/{own}/activation-codes", channel="desk")["code"]
            until = self.child.born.replace(year=self.child.born.year + 18) - timedelta(days=1)
            self.desk.ask(
                "POST",
                "/v1/guardianships",
                {"guardian_id": own, "child_id": child, "until": until.isoformat()},
                channel="desk",
            )
            self.phone.login(self.account, "demo")
            self.phone.activate(code)
            known = self.phone.persons()
            self.say.need(known["person_id"] == own, "das ist jemand anderes", "that is somebody else")
            self.say.need(
                [ward["person_id"] for ward in known["wards"]] == [child],
                "für das Kind darf niemand handeln",
                "nobody may act for the child",
            )
            self.say.tell(
                f"Konto {self.account}; darf bis {until} für {self.child.given} handeln",
                f"account {self.account}; may act for {self.child.given} until {until}",
            )

    def the_family_is_entitled(self) -> None:
        with self.say.step(
            "Ohne Antrag: Ansprüche, mit Gründen", "Without applying: entitlements, with reasons"
        ):
            held = {each["programme"]: each for each in self.phone.entitlements() if each["held"]}
            for each in held.values():
                self.say.tell(
                    f"{each['name']} bis {each['until'] or 'auf Weiteres'}",
                    f"{each['name']} until {each['until'] or 'further notice'}",
                )
                for reason in each["reasons"]:
                    self.say.quote(reason["text"])
            for programme in ("dortmund-karte", "sozialpass"):
                self.say.need(programme in held, f"{programme} fehlt", f"{programme} is missing")
                self.say.need(held[programme]["reasons"], "es fehlen Gründe", "reasons are missing")

    def the_inbox_has_it(self) -> None:
        with self.say.step("Die Nachricht liegt im Postfach", "The message is in the inbox"):
            message = self._message("entitlement.granted", "dortmund-karte")
            self.say.quote(f"{message['title']}\n{message['body']}")

    def the_phone_holds_the_card(self) -> None:
        with self.say.step("Die Karte kommt auf das Telefon", "The card comes onto the phone"):
            self.phone.enrol("Telefon")
            batch = self.phone.top_up()
            card = self.phone.card()
            tariffs = ", ".join(tariff["name"] for tariff in card["tariffs"])
            self.say.tell(
                f"„{card['title']}“: {tariffs}; {len(batch['cards'])} Karten, jede mit einem eigenen Schlüssel",
                f"“{card['title']}”: {tariffs}; {len(batch['cards'])} cards, each with a key of its own",
            )
            self.say.need(card["holds"], "die Karte bringt nichts", "the card brings nothing")

    # ---- at the pool ----

    def the_code_is_read_and_accepted(self) -> None:
        with self.say.step(
            f"Der Code wird gezeigt, gelesen und im {POOL} angenommen",
            f"The code is shown, read, and accepted at the {POOL}",
        ):
            shown = self.phone.show(new_visit=True)
            self.say.picture(shown.drawing.terminal())
            text = self._read(shown.drawing.png())
            self.say.need(
                text == shown.text, "das Bild sagt etwas anderes", "the picture says something else"
            )
            self.say.need(
                smallest_version(text) <= LARGEST_LIVE, "der Code ist zu groß", "the code is too large"
            )
            self.screenshot = shown.drawing.png()
            answer = self._checked(text, "accepted")
            offer = self._priced(answer, ADULT)
            taken = self.till.redeem(offer["id"])
            self.say.need(
                taken["outcome"] == "redeemed", f"nicht eingelöst: {taken}", f"not redeemed: {taken}"
            )
            self.say.quote(f"{taken['headline']}: {offer['text']}")

    def the_screenshot_is_too_late(self) -> None:
        with self.say.step(
            "Ein Bildschirmfoto, gut eine Minute später: abgelehnt",
            "A screenshot, a good minute later: refused",
        ):
            self._let_pass("PT65S")
            self._checked(self._read(self.screenshot), "refused", "stale_code")

    def the_second_use_is_refused(self) -> None:
        with self.say.step(
            "Zum zweiten Mal am selben Tag: die Karte gilt, das Angebot ist verbraucht",
            "A second time on the same day: the card is valid, the offer is used up",
        ):
            answer = self._checked(self.phone.show(new_visit=True).text, "accepted")
            taken = self.till.redeem(self._priced(answer, ADULT)["id"])
            self.say.quote(f"{taken['headline']}: {taken['explanation']}")
            self.say.need(
                (taken["outcome"], taken["reason"]) == ("refused", "limit_reached"),
                f"erwartet war eine Ablehnung: {taken['outcome']}",
                f"a refusal was expected: {taken['outcome']}",
            )

    def the_replay_is_refused(self) -> None:
        with self.say.step(
            "Derselbe Code gleich noch einmal: abgelehnt", "The same code again at once: refused"
        ):
            shown = self.phone.show(new_visit=True)
            self._checked(shown.text, "accepted")
            self._checked(shown.text, "refused", "replayed")

    def without_a_network(self) -> None:
        with self.say.step(
            "Das Prüfgerät urteilt auch ohne Netz", "The scanner judges without a network, too"
        ):
            fetched = self.till.fetch_bundle()
            shown = self.phone.show(new_visit=True)
            answer = self.till.check_alone(shown.text)
            self._judged(answer, "accepted")
            self._judged(self.till.check_alone(shown.text), "refused", "replayed")
            self.say.tell(
                f"mit {fetched.lists} Statusliste(n) und {fetched.offers} Angeboten an Bord",
                f"with {fetched.lists} status list(s) and {fetched.offers} offers on board",
            )

    # ---- the child ----

    def the_child_has_an_allowance(self) -> None:
        with self.say.step(
            f"{self.child.given} hat Teilhabegeld", f"{self.child.given} has a participation allowance"
        ):
            pots = self.phone.allowances(self._person(self.child))["pots"]
            pot = next((pot for pot in pots if pot["kind"] == "participation"), None)
            if pot is None:
                self.say.fail("es gibt kein Konto für Teilhabe", "there is no allowance for participation")
            self.say.need(pot["monthly_cents"] == 1500, f"{pot['monthly_cents']}", f"{pot['monthly_cents']}")
            self.say.need(pot["balance_cents"] >= 1500, f"{pot['balance_cents']}", f"{pot['balance_cents']}")
            self.say.tell(
                f"{pot['name']}: {_euros(pot['balance_cents'])} €, 15 € im Monat bis {pot['until']}",
                f"{pot['name']}: €{pot['balance_cents'] / 100:.2f}, €15 a month until {pot['until']}",
            )

    def the_child_goes_swimming(self) -> None:
        with self.say.step(
            f"Die Karte von {self.child.given} ist auf dem Telefon von {self.parent.given}",
            f"{self.child.given}'s card is on {self.parent.given}'s phone",
        ):
            child = self._person(self.child)
            self.phone.top_up(person=child, count=2)
            answer = self._checked(self.phone.show(person=child, new_visit=True).text, "accepted")
            taken = self.till.redeem(self._priced(answer, CHILD)["id"])
            self.say.need(
                taken["outcome"] == "redeemed", f"nicht eingelöst: {taken}", f"not redeemed: {taken}"
            )

    # ---- paper ----

    def paper_from_the_desk(self) -> None:
        with self.say.step(
            "Eine gedruckte Karte vom Schalter: angenommen, mit Namensvergleich",
            "A printed card from the desk: accepted, with the name compared",
        ):
            own = self._person(self.parent)
            printed = self.desk.ask("POST", "/v1/printed-cards", acting_for=own, channel="desk")
            picture = self.desk.fetch(
                f"/v1/printed-cards/{printed['id']}.png", acting_for=own, channel="desk"
            )
            self.paper = self._read(picture)
            self.say.need(
                self.paper == printed["text"], "das Bild sagt etwas anderes", "the picture says another thing"
            )
            self.say.need(
                smallest_version(self.paper) <= LARGEST_PRINTED,
                "der Code ist zu groß",
                "the code is too large",
            )
            answer = self._checked(self.paper, "accepted")
            self.say.need(answer["compare_name"], "niemand vergleicht", "nobody compares")
            self.say.tell(
                f"Nummer {printed['number']}; mit dem Ausweis vergleichen: {answer['name'].rstrip('<')}",
                f"number {printed['number']}; compare with the ID: {answer['name'].rstrip('<')}",
            )

    # ---- the end ----

    def the_fact_ends(self) -> None:
        with self.say.step(
            "Das Jobcenter meldet das Ende; die Nachricht kommt vor der Wirkung",
            "The Jobcenter reports the end; the notice comes before the effect",
        ):
            today = self._today()
            rows = self._benefit(Period(today.replace(day=1), today))
            self._delivered(self.jobcenter, rows, accepted=len(rows))
            message = self._message("entitlement.ending", "dortmund-karte")
            self.say.quote(f"{message['title']}\n{message['body']}")
            held = {each["programme"]: each for each in self.phone.entitlements()}["dortmund-karte"]
            self.last_day = date.fromisoformat(held["until"])
            self.say.need(
                held["held"] and held["status"] == "ending" and self.last_day >= today + timedelta(days=14),
                f"erwartet war ein Ende mit Frist: {held['status']} {held['until']}",
                f"an end with grace was expected: {held['status']} {held['until']}",
            )

    def the_card_holds_through_the_grace(self) -> None:
        with self.say.step(
            f"Bis zum {self.last_day} gilt die Karte wie bisher",
            f"Until {self.last_day} the card is as good as before",
        ):
            self._let_pass_until(self.last_day, hour=10)
            self.phone.login(self.account, "demo")
            self.phone.top_up(count=2)
            self._checked(self.phone.show(new_visit=True).text, "accepted")
            self._checked(self.paper, "accepted")

    def the_card_is_refused(self) -> None:
        with self.say.step(
            "Am Tag danach: abgelehnt, mit dem Grund", "The day after: refused, with the reason"
        ):
            self._let_pass_until(self.last_day + timedelta(days=1), hour=10)
            self._checked(self.paper, "refused", "revoked")
            self.till.fetch_bundle()
            self._judged(self.till.check_alone(self.paper), "refused", "revoked")
            self.phone.login(self.account, "demo")
            self._nothing_to_show()
            for each in self.phone.entitlements():
                if each["programme"] == "dortmund-karte":
                    self.say.need(not each["held"], "noch gehalten", "still held")
                    self.say.need(each["reasons"], "es fehlt der Grund", "the reason is missing")
                    for reason in each["reasons"]:
                        self.say.quote(reason["text"])

    def the_auditor_verifies(self) -> None:
        with self.say.step("Die Revision prüft das Protokoll", "The auditor verifies the trail"):
            trail = self.auditor.ask("GET", "/v1/audit/verification")
            self.say.need(trail["flaw"] is None, f"Riss: {trail}", f"flaw: {trail}")
            self.say.need(trail["sealed"] > 0, "nichts versiegelt", "nothing is sealed")
            self.say.tell(
                f"{trail['sealed']} Einträge in der Kette, {trail['checkpoints']} Siegel, {trail['unsealed']} noch offen",
                f"{trail['sealed']} entries in the chain, {trail['checkpoints']} checkpoints, "
                f"{trail['unsealed']} not sealed yet",
            )

    # ---- the smaller steps ----

    def _family(self, run: str) -> tuple[Member, Member]:
        today = self._today()
        family = random.choice(names.FAMILIES)  # noqa: S311  (a name for a story)
        parent, child = random.choice(names.FEMALE), random.choice(names.MALE)  # noqa: S311
        born = today.replace(day=1) - timedelta(days=9 * 366)
        return (
            Member(
                parent, family, today.replace(day=1, year=today.year - 36), f"MR-W{run}-1", f"JC-W{run}-1"
            ),
            Member(child, family, born, f"MR-W{run}-2", f"JC-W{run}-2"),
        )

    def _today(self) -> date:
        return day_of(self.wire.now(), ZONE)

    def _person(self, member: Member) -> str:
        return self.persons[member.resident]

    def _benefit(self, period: Period) -> list[Row]:
        numbers = [self.parent.jobcenter, self.child.jobcenter]
        return [
            household(self.community, "bedarfsgemeinschaft", numbers, period),
            *(fact(number, "sgb2", value=True, period=period) for number in numbers),
        ]

    def _delivered(self, machine: Machine, rows: list[Row], *, accepted: int | None = None) -> Delivered:
        delivered = deliver(machine, ndjson(rows), patience=PATIENCE)
        self.say.tell(
            f"{len(rows)} Zeilen, angewandt: {_listed(delivered.results)}",
            f"{len(rows)} rows, applied: {_listed(delivered.results)}",
        )
        self.say.need(delivered.state == "applied", f"Stand: {delivered.state}", f"state: {delivered.state}")
        if accepted is not None:
            self.say.need(
                delivered.results == {"accepted": accepted},
                f"nicht alles wurde angenommen: {delivered.results}",
                f"not all was accepted: {delivered.results}",
            )
        return delivered

    def _reviews(self) -> dict[str, str]:
        """The reviews that wait, by number."""
        waiting: dict[str, str] = {}
        after = ""
        while True:
            page = self.desk.ask("GET", f"/v1/reviews{after}")
            waiting.update((review["number"], review["id"]) for review in page["reviews"])
            if page["next"] is None:
                return waiting
            after = f"?after={page['next']}"

    def _message(self, code: str, programme: str) -> Any:
        """The newest message of this kind about the parent; waited for, because a job brings it."""
        name = {"dortmund-karte": "Dortmund"}[programme]

        def look() -> Any:
            return next(
                (
                    message
                    for message in self.phone.inbox()["messages"]
                    if message["code"].startswith(code)
                    and message["person_id"] == self._person(self.parent)
                    and name in message["title"]
                ),
                None,
            )

        return self._await(look, "die Nachricht kommt nicht", "the message does not come")

    def _await(self, look: Callable[[], Any], de: str, en: str) -> Any:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = look()
            if found is not None:
                return found
            time.sleep(0.2)
        return self.say.fail(de, en)

    def _read(self, picture: bytes) -> str:
        text = read_picture(picture)
        if text is None:
            self.say.fail("in dem Bild ist kein Code zu lesen", "there is no code to be read in the picture")
        return text

    def _checked(self, text: str, outcome: str, reason: str | None = None) -> Any:
        answer = self.till.check(text)
        self._judged(answer, outcome, reason)
        return answer

    def _judged(self, answer: Any, outcome: str, reason: str | None = None) -> None:
        self.say.quote(f"{answer['headline']}. {answer['explanation']}".strip())
        self.say.need(
            (answer["outcome"], answer["reason"]) == (outcome, reason),
            f"erwartet: {outcome} {reason or ''}; gesagt: {answer['outcome']} {answer['reason'] or ''}",
            f"expected: {outcome} {reason or ''}; said: {answer['outcome']} {answer['reason'] or ''}",
        )

    def _priced(self, answer: Any, cents: int) -> Any:
        for offer in answer["offers"]:
            if offer["price_cents"] == cents:
                return offer
        return self.say.fail(f"kein Angebot zu {cents} Cent", f"no offer at {cents} cents")

    def _let_pass(self, duration: str) -> None:
        # Every night on the way is worked through before the answer comes.
        moved = self.wire.ask("POST", "/demo/clock", content={"forward": duration}, patience=900).json()
        self.wire.ask_time()
        self.say.tell(
            f"Die Uhr geht vor: {moved['now'][:19]} UTC", f"The clock moves on: {moved['now'][:19]} UTC"
        )

    def _wait_for_the_pool_to_open(self) -> None:
        """At night nobody swims, and midnight would part the two uses of one day."""
        now = self.wire.now().astimezone(ZONE)
        if not OPENS <= now.hour < CLOSES:
            self._let_pass_until(now.date() + timedelta(days=now.hour >= CLOSES), hour=OPENS)

    def _let_pass_until(self, day: date, *, hour: int) -> None:
        target = datetime(day.year, day.month, day.day, hour, tzinfo=ZONE)
        seconds = int((target - self.wire.now()).total_seconds())
        if seconds > 0:
            self._let_pass(f"PT{seconds // 3600}H{seconds % 3600}S")

    def _nothing_to_show(self) -> None:
        """The phone has no card left, and gets none."""
        try:
            self.phone.show(new_visit=True)
        except NotThere:
            self.say.tell(
                "Auf dem Telefon ist keine gültige Karte mehr.", "There is no valid card left on the phone."
            )
        else:
            self.say.fail("das Telefon hat noch eine Karte", "the phone still has a card")
        try:
            self.phone.top_up(count=1)
        except Refused as refused:
            self.say.need(refused.slug == "nothing-held", f"{refused}", f"{refused}")
            self.say.quote(str(refused))
        else:
            self.say.fail("es gab noch eine Karte", "there was another card")


def _euros(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02d}"


def _listed(results: dict[str, int]) -> str:
    return ", ".join(f"{number} {result}" for result, number in sorted(results.items())) or "–"


def _last_day(first: date, months: int) -> date:
    """The last day of the month that lies so many months after this first of a month."""
    year, month = divmod(first.month - 1 + months + 1, 12)
    return date(first.year + year, month + 1, 1) - timedelta(days=1)
