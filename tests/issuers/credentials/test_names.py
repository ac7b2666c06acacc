"""A name on a card is spelt as the machine-readable line of an ID spells it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuers.credentials.card import Card, CardId
from issuers.credentials.names import card_name

ON_A_CARD = re.compile(r"[A-Z]+(<[A-Z]+)*(<<[A-Z]+(<[A-Z]+)*)?")


@pytest.mark.parametrize(
    ("family", "given_names", "spelt"),
    [
        # Latin
        ("Müller", "Anna-Maria", "MUELLER<<ANNA<MARIA"),
        ("Groß", "Jörg", "GROSS<<JOERG"),
        ("GROẞ", "JÄN", "GROSS<<JAEN"),
        ("Ångström", "Øyvind", "AANGSTROEM<<OEYVIND"),
        ("Łukaszewicz", "Żaneta", "LUKASZEWICZ<<ZANETA"),
        ("Dvořák", "Jiří", "DVORAK<<JIRI"),
        ("Yıldırım", "Işıl", "YILDIRIM<<ISIL"),
        ("Əliyev", "İlham", "ELIYEV<<ILHAM"),
        ("Nguyễn", "Thị Hồng", "NGUYEN<<THI<HONG"),
        ("Þórsdóttir", "Guðrún", "THORSDOTTIR<<GUDRUN"),
        ("Đorđević", "Ŋala", "DORDEVIC<<NALA"),
        ("Núñez", "Ĳsbrand", "NUNEZ<<IJSBRAND"),
        ("D'Artagnan", "Charles", "DARTAGNAN<<CHARLES"),
        ("O’Neill", "Seán J.", "ONEILL<<SEAN<J"),
        ("von der Leyen", "Ida", "VON<DER<LEYEN<<IDA"),
        # Cyrillic
        ("Щербаков", "Юлия", "SHCHERBAKOV<<IULIIA"),
        ("Шевченко", "Євген", "SHEVCHENKO<<IEVGEN"),
        ("Ґалаґан", "Їжак", "GALAGAN<<IZHAK"),
        ("Љубичић", "Ђорђе", "LJUBICHIC<<DORDE"),
        ("Соловьёв", "Пётр", "SOLOVEV<<PETR"),
        # Greek
        ("Παπαδόπουλος", "Ευάγγελος", "PAPADOPOULOS<<EVANGELOS"),
        ("Μπούρας", "Ευθύμιος", "BOURAS<<EFTHYMIOS"),
        ("Αυγερινός", "Άννα", "AVGERINOS<<ANNA"),
        ("Λάμπρου", "Μαΐου", "LAMPROU<<MAIOU"),
        ("Αϋφαντής", "Ψάλτης", "AYFANTIS<<PSALTIS"),
        # Arabic and its neighbours
        ("الرازي", "ابو بكر محمد", "ALRAZY<<ABW<BKR<MXHMD"),
        ("فاطمة", "محمّد", "FAXTTMXAH<<MXHMMD"),
        ("پاکزاد", "گلی", "PAXKKZAD<<XGGLXYA"),
        # One name only
        ("", "Sukarno", "SUKARNO"),
        ("Sukarno", "", "SUKARNO"),
        ("Sukarno", " - ", "SUKARNO"),
    ],
)
def test_names_in_many_scripts_become_letters_of_an_id(family: str, given_names: str, spelt: str) -> None:
    assert card_name(family, given_names) == spelt


def test_letters_in_parts_are_spelt_like_whole_ones() -> None:
    assert card_name("Mu\u0308ller", "A\u0308nne") == card_name("Müller", "Änne") == "MUELLER<<AENNE"


def test_arabic_in_the_shapes_of_print_is_spelt_like_plain_arabic() -> None:
    assert card_name("\ufee3\ufea4\ufee4\ufeaa", "x") == card_name("محمد", "x") == "MXHMD<<X"


@pytest.mark.parametrize(
    ("family", "given_names", "spelt"),
    [
        ("გელაშვილი", "გიორგი", "GELASHVILI<<GIORGI"),
        ("ვაჟა-ფშაველა", "ნინო", "VAZHA<PSHAVELA<<NINO"),
        ("כהן", "אברהם", "KHHN<<VRHM"),
        ("王", "小明", "WANG<<XIAOMING"),
        ("김", "철수", "GIM<<CHEOLSU"),
        ("शर्मा", "नरेन्द्र", "SRMA<<NRENDR"),
        ("முருகன்", "தமிழ்ச்செல்வி", "MURUKN<<TMILCCELVI"),
        ("Հակոբյան", "Հայկ", "HAKOBYAN<<HAYK"),
        ("በቀለ", "አበበ", "BEKELE<<ABEBE"),
        # Parts that a table spells keep its spelling beside parts that none does.
        ("Müller-王", "Юлия", "MUELLER<WANG<<IULIIA"),
    ],
)
def test_scripts_without_a_table_are_transliterated(family: str, given_names: str, spelt: str) -> None:
    assert card_name(family, given_names) == spelt


@pytest.mark.parametrize(
    ("family", "spelt"),
    [
        ("R2D2", "RD<<ANNA"),
        ("Jones 3rd", "JONES<RD<<ANNA"),
        ("Müller 🙂", "MUELLER<<ANNA"),
        ("Müller🙂Meier", "MUELLERMEIER<<ANNA"),
        ("Schmidt (geb. Öz)", "SCHMIDT<GEB<OEZ<<ANNA"),
        ("Meier\0", "MEIER<<ANNA"),
        ("ⅷ8", "VIII<<ANNA"),
        ("مح١مد", "MXHMD<<ANNA"),
        ("王🙂3", "WANG<<ANNA"),
        ("🙂", "ANNA"),
    ],
)
def test_digits_and_pictures_are_dropped_and_the_name_is_not(family: str, spelt: str) -> None:
    assert card_name(family, "Anna") == spelt


def test_no_name_is_no_name() -> None:
    assert card_name("", "") is None
    assert card_name("-", "'") is None
    assert card_name("🙂", "42") is None


@pytest.mark.parametrize(
    ("family", "given_names", "spelt"),
    [
        ("Papandropoulous", "Jonathon Alec", "PAPANDROPOULOUS<<JONATH"),
        ("Papandropoulous", "Johann Alec", "PAPANDROPOULOUS<<JOHANN"),
        ("Guttenberg-Hohenlohe-Schilling", "Karl", "GUTTENBERG<HOHENLOHE<<K"),
        ("Wolfeschlegelsteinhausenberger", "Hubert", "WOLFESCHLEGELSTEINHA<<H"),
        ("Wolfeschlegelsteinhausenberger", "", "WOLFESCHLEGELSTEINHAUSE"),
    ],
)
def test_long_names_keep_the_family_name_and_at_least_an_initial(
    family: str, given_names: str, spelt: str
) -> None:
    assert card_name(family, given_names) == spelt


def test_a_host_with_little_room_shortens_names_further() -> None:
    assert card_name("Müller", "Anna Maria", letters=15) == "MUELLER<<ANNA<M"
    with pytest.raises(ValueError, match="at least four"):
        card_name("Müller", "Anna", letters=3)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60), st.text(max_size=60), st.integers(4, 23))
def test_whatever_the_name_a_card_can_carry_what_comes_out(
    family: str, given_names: str, letters: int
) -> None:
    spelt = card_name(family, given_names, letters)
    if spelt is not None:
        assert len(spelt) <= letters
        assert ON_A_CARD.fullmatch(spelt)
        assert Card(bytes(4), 0, 0, CardId(0, 0), bytes(33), spelt).name == spelt
