"""Reads what a draft of a release says, in YAML or JSON, by the same reader as the rulebook's files."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path

import yaml

from entitlements.facts.catalogue import vocabulary

from .changing import Changes, Restored, merged_parameters
from .programmes import Parameter, ProgrammeRules, Rulebook, WorkedCase
from .reading import (
    RulebookError,
    _cases,
    _grounds,
    _Loader,
    _open,
    _Page,
    _parameter,
    _programme,
    _section_of,
    _tariffs,
)

DRAFT = "draft"
"""What a draft is called where an error says in which file it is."""


UNSEEN = frozenset({"Cc", "Cs"})
"""Characters that no database keeps, and no name has."""


class Form(StrEnum):
    """In which form a draft was written."""

    YAML = "yaml"
    JSON = "json"


class _DraftLoader(_Loader):
    """Comes from outside: what stands once is written once, so that ten lines cannot stand for ten million."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.get_mark()
            raise yaml.composer.ComposerError(None, None, "references to other places are not taken", mark)
        return super().compose_node(parent, index)


class _JsonLoader(_DraftLoader):
    """JSON has no days: a text that is one counts as one."""


def _json_text(_loader: _JsonLoader, node: yaml.ScalarNode) -> str | date:
    # JSON writes characters beyond 16 bits as two halves.
    text = str(node.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    try:
        return date.fromisoformat(text) if len(text) == len("2027-01-01") else text
    except ValueError:
        return text


_JsonLoader.add_constructor("tag:yaml.org,2002:str", _json_text)


def read_changes(text: str, form: Form, standing: Rulebook) -> Changes:
    """What a draft says; RulebookError with its line where it cannot be understood.

    `standing` is the rulebook as it is released: its tariffs and amounts can be named, and its programmes need no
    label again.
    """
    front = _Page(_front(text, form), DRAFT)
    front.only(
        *("note", "tariffs", "parameters", "grounds", "programmes", "restore", "ends", "cases", "drop_cases")
    )
    pages = front.pages("programmes")
    tariffs = _tariffs(front)
    parameters: dict[str, Parameter] = {}
    for page in (front, *pages):
        for name, entry in page.named("parameters").items():
            if name in parameters:
                raise page.page("parameters").wrong(f"the parameter {name} is defined elsewhere too", name)
            parameters[name] = _fitting(name, entry, standing)
    every = merged_parameters(standing.parameters, parameters)
    known = vocabulary({name: parameter.type for name, parameter in every.items()})
    shared = {name: _grounds(front.page("grounds"), name, known) for name in front.named_lists("grounds")}

    labels = {name: rules.label for name, rules in standing.programmes.items()}
    programmes: dict[str, ProgrammeRules] = {}
    written: dict[tuple[str, date], str] = {}
    for page in pages:
        rules = _programme(page, known, every, {**standing.tariffs, **tariffs}, shared, labels=labels)
        if rules.name in programmes:
            raise page.wrong(f"the programme {rules.name} stands here twice", "programme")
        programmes[rules.name] = rules
        written |= {
            (rules.name, version.since): entry.section.written
            for version, entry in zip(rules.versions, page.pages("versions"), strict=True)
        }
    named = {**standing.programmes, **programmes}
    return Changes(
        tariffs=tariffs,
        parameters=parameters,
        programmes=programmes,
        restored=tuple(_restored(page, standing) for page in front.pages("restore")),
        ended=dict(_ended(page, standing) for page in front.pages("ends")),
        cases=_worked_cases(front, named),
        dropped=tuple((page.text("programme"), page.text("name")) for page in front.pages("drop_cases")),
        written=written,
    )


def _front(text: str, form: Form) -> object:
    found = _sections(text, form)
    if any(
        unicodedata.category(sign) in UNSEEN for said in _texts(found) for sign in said if sign not in "\n\t"
    ):
        raise RulebookError("control characters are not taken", DRAFT, 1)
    return found


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, part in value.items():
                yield from _texts(key)
                yield from _texts(part)
        case list():
            for part in value:
                yield from _texts(part)


def _sections(text: str, form: Form) -> object:
    if form is Form.YAML:
        return _section_of(text, DRAFT, _DraftLoader)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise RulebookError(getattr(error, "msg", "this is no JSON"), DRAFT, line) from None
    # Checked to be JSON, it is read as YAML, which knows the lines; a tab can only stand between its signs.
    return _section_of(text.replace("\t", " "), DRAFT, _JsonLoader)


def _fitting(name: str, page: _Page, standing: Rulebook) -> Parameter:
    parameter = _parameter(name, page)
    before = standing.parameters.get(name)
    if before is not None and before.type != parameter.type:
        raise page.wrong(f"{name} is {before.type}, and cannot become {parameter.type}", "unit")
    return parameter


def _restored(page: _Page, standing: Rulebook) -> Restored:
    page.only("programme", "rule", "from", "until", "note")
    programme = page.one_of("programme", tuple(standing.programmes))
    return Restored(
        programme, page.text("rule"), page.day("from"), page.get("until", date, None), page.section.line
    )


def _ended(page: _Page, standing: Rulebook) -> tuple[str, date]:
    page.only("programme", "until", "note")
    return page.one_of("programme", tuple(standing.programmes)), page.day("until")


def _worked_cases(front: _Page, programmes: Mapping[str, ProgrammeRules]) -> tuple[WorkedCase, ...]:
    found: dict[tuple[str, str], WorkedCase] = {}
    for page in front.pages("cases"):
        for case in _cases(page.section, DRAFT, programmes):
            if (case.programme, case.name) in found:
                raise RulebookError(f"the case {case.name} stands here twice", DRAFT, case.line)
            found[case.programme, case.name] = case
    return tuple(found.values())


def written_in(folder: Path) -> Mapping[tuple[str, date], str]:
    """How each rule version of a rulebook's files is written, by programme and first day."""
    return dict(_each_written(folder))


def _each_written(folder: Path) -> Iterable[tuple[tuple[str, date], str]]:
    for file in sorted(folder.glob("*.yaml")):
        if file.name == "rulebook.yaml" or file.name.endswith(".cases.yaml"):
            continue
        page = _Page(_open(file), file.name)
        for entry in page.pages("versions"):
            yield (page.text("programme"), entry.day("from")), entry.section.written
