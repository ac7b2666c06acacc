"""Spells names in the 26 letters of an ID's machine-readable line (ICAO Doc 9303 part 3), whatever the script."""

import unicodedata
from typing import Final

# Latin letters that are more than a base letter with a mark; every other marked letter loses its mark.
_LATIN: Final = {
    "Ä": "AE", "Å": "AA", "Æ": "AE", "Ö": "OE", "Ø": "OE", "Œ": "OE", "Ü": "UE", "ẞ": "SS", "Þ": "TH",
    "Ð": "D", "Đ": "D", "Ħ": "H", "Ł": "L", "Ŋ": "N", "Ŧ": "T", "Ə": "E", "Ɖ": "D", "Ɓ": "B", "Ɗ": "D",
    "Ɨ": "I", "Ɔ": "O", "Ɛ": "E", "Ʉ": "U", "Ƴ": "Y", "Ǥ": "G", "Ʒ": "Z", "Ƶ": "Z", "ĸ": "K",
}  # fmt: skip

# The common values: those of single states are not used, for no register says which language a name is in.
_CYRILLIC: Final = {
    "А": "A", "Б": "B", "В": "V", "Г": "G", "Д": "D", "Е": "E", "Ё": "E", "Ж": "ZH", "З": "Z", "И": "I",
    "Й": "I", "К": "K", "Л": "L", "М": "M", "Н": "N", "О": "O", "П": "P", "Р": "R", "С": "S", "Т": "T",
    "У": "U", "Ф": "F", "Х": "KH", "Ц": "TS", "Ч": "CH", "Ш": "SH", "Щ": "SHCH", "Ъ": "IE", "Ы": "Y", "Ь": "",
    "Э": "E", "Ю": "IU", "Я": "IA", "Ў": "U", "Ѫ": "U", "Ѓ": "G", "Ђ": "D", "Ѕ": "DZ", "Ј": "J", "Ќ": "K",
    "Љ": "LJ", "Њ": "NJ", "Һ": "C", "Ћ": "C", "Џ": "DZ", "Є": "IE", "І": "I", "Ї": "I", "Ґ": "G",
}  # fmt: skip

# By ELOT 743, the Greek standard; its pairs of letters are met before its letters.
_GREEK_PAIRS: Final = {"ΟΥ": "OU", "ΓΓ": "NG", "ΓΞ": "NX", "ΓΧ": "NCH"}
_GREEK: Final = {
    "Α": "A", "Β": "V", "Γ": "G", "Δ": "D", "Ε": "E", "Ζ": "Z", "Η": "I", "Θ": "TH", "Ι": "I", "Κ": "K",
    "Λ": "L", "Μ": "M", "Ν": "N", "Ξ": "X", "Ο": "O", "Π": "P", "Ρ": "R", "Σ": "S", "Τ": "T", "Υ": "Y",
    "Φ": "F", "Χ": "CH", "Ψ": "PS", "Ω": "O",
}  # fmt: skip
_GREEK_VOICELESS: Final = frozenset("ΘΚΞΠΣΤΦΧΨ")

_SHADDA: Final = "\u0651"
_TEH_MARBUTA: Final = "\u0629"
_ARABIC: Final = {
    "\u0621": "XE", "\u0622": "XAA", "\u0623": "XAE", "\u0624": "U", "\u0625": "I", "\u0626": "XI",
    "\u0627": "A", "\u0628": "B", _TEH_MARBUTA: "XTA", "\u062a": "T", "\u062b": "XTH", "\u062c": "J",
    "\u062d": "XH", "\u062e": "XKH", "\u062f": "D", "\u0630": "XDH", "\u0631": "R", "\u0632": "Z",
    "\u0633": "S", "\u0634": "XSH", "\u0635": "XSS", "\u0636": "XDZ", "\u0637": "XTT", "\u0638": "XZZ",
    "\u0639": "E", "\u063a": "G", "\u0641": "F", "\u0642": "Q", "\u0643": "K", "\u0644": "L",
    "\u0645": "M", "\u0646": "N", "\u0647": "H", "\u0648": "W", "\u0649": "XAY", "\u064a": "Y",
    "\u0671": "XXA", "\u0679": "XXT", "\u067c": "XRT", "\u067e": "P", "\u0681": "XKE", "\u0685": "XXH",
    "\u0686": "XC", "\u0688": "XXD", "\u0689": "XDR", "\u0691": "XXR", "\u0693": "XRR", "\u0696": "XRX",
    "\u0698": "XJ", "\u069a": "XXS", "\u06a9": "XKK", "\u06ab": "XXK", "\u06ad": "XNG", "\u06af": "XGG",
    "\u06ba": "XNN", "\u06bc": "XXN", "\u06be": "XDO", "\u06c0": "XYH", "\u06c1": "XXG", "\u06c2": "XGE",
    "\u06c3": "XTG", "\u06cc": "XYA", "\u06cd": "XXY", "\u06d0": "Y", "\u06d2": "XYB", "\u06d3": "XBE",
}  # fmt: skip

_TABLE: Final = _LATIN | _CYRILLIC | _GREEK | _ARABIC
# Between the parts of a name stands a filler; apostrophes, full stops and the like leave no trace.
_BETWEEN: Final = frozenset(" -‐‑‒–—/,\u00a0")
_TRACELESS: Final = frozenset("'’‘ʼʻʹʺ`´.·\u0640")


def spell(name: str) -> str | None:
    """The name's parts in the letters A to Z, `<` between them; None if it has letters that no table spells."""
    # NFKC first: registers deliver letters whole or in parts, and Arabic in the shapes of its print.
    parts: list[str] = []
    for part in _parts(unicodedata.normalize("NFKC", name)):
        spelt = _spell_part(part)
        if spelt is None:
            return None
        if spelt:
            parts.append(spelt)
    return "<".join(parts)


def _parts(name: str) -> list[str]:
    return "".join(" " if letter in _BETWEEN or letter.isspace() else letter for letter in name).split()


def _spell_part(part: str) -> str | None:
    # ẞ and ß both become SS, and a dotless ı becomes I, by Unicode's own upper case.
    letters = unicodedata.normalize("NFC", part.upper())
    spelt: list[str] = []
    at = 0
    while at < len(letters):
        letter = letters[at]
        pair = _greek_pair(letters, at)
        if pair is not None:
            spelt.append(pair)
            at += 2
            continue
        at += 1
        if letter == _SHADDA:
            # The mark of doubling stands behind the letter that it doubles.
            spelt.extend(spelt[-1:])
        elif letter == _TEH_MARBUTA and at == len(letters):
            spelt.append("XAH")
        elif letter not in _TRACELESS and not _is_mark(letter):
            written = _letter(letter)
            if written is None:
                return None
            spelt.append(written)
    return "".join(spelt)


def _letter(letter: str) -> str | None:
    written = _TABLE.get(letter)
    if written is not None:
        return written
    base = unicodedata.normalize("NFD", letter)[0]
    if "A" <= base <= "Z":
        return base
    return None if base == letter else _TABLE.get(base)


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter) in {"Mn", "Cf"}


def _greek_pair(letters: str, at: int) -> str | None:
    # An accent on the second letter keeps the pair, a diaeresis parts it.
    first, second = _greek_base(letters[at]), _greek_base(letters[at + 1 : at + 2])
    if unicodedata.normalize("NFD", letters[at + 1 : at + 2])[1:2] == "\u0308":
        return None
    if first in {"Α", "Ε", "Η"} and second == "Υ":
        after = _greek_base(letters[at + 2 : at + 3])
        return _GREEK[first] + ("F" if not after or after in _GREEK_VOICELESS else "V")
    if first == "Μ" and second == "Π":
        return "B" if at == 0 else "MP"
    return _GREEK_PAIRS.get(first + second)


def _greek_base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[:1]
