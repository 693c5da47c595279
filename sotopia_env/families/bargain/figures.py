"""Amounts of money written alike: in figures, with ``$`` for dollars and :data:`OTHER_MONEY` for other currencies."""

from __future__ import annotations

import re

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,9})(?:\.[0-9]{1,2})?(?![0-9])"

OTHER_MONEY = "\u00a4"
"""Before an amount in another currency than dollars."""

_SMALL: dict[str, int] = {
    word: value
    for values, words in (
        (range(1, 20), "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
         "sixteen seventeen eighteen nineteen"),
        (range(20, 100, 10), "twenty thirty forty fifty sixty seventy eighty ninety"),
    )
    for value, word in zip(values, words.split(), strict=True)
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000, "grand": 1_000, "million": 1_000_000}
WORDS_OF_NUMBERS = frozenset((*_SMALL, *_SCALES)) - {"one"}
"""Without one of them no number is in words."""

_DOLLARS = r"(?:dollars?|bucks?|usd)\b|\$(?! ?[0-9])"
_NATIONS = "canadian|australian|singapore|hong kong|new zealand"
_OTHER_SIGN = "[\u20ac\u00a3\u00a5\u20b9\u00a4]"
_OTHER_CODE = "eur|gbp|jpy|chf|cad|aud|inr|cny|rmb|sek"
_OTHER_NAME = (
    rf"{_OTHER_SIGN}|(?:{_OTHER_CODE}|euros?|pounds?|quid|yen|francs?|pesos?|rupees?|yuan|(?:{_NATIONS}) dollars|"
    rf"dollars (?:{_NATIONS})|crowns?|kronor)\b"
)

_CODES = ("usd ", "eur ", "gbp ", "chf ", "cent")
_SIGNS = (
    "twenty", "thirt", "forty", "fift", " ten", "eleven", "twelve", "two", "three", "four", "five", "six", "seven",
    "eight", "nine", "hundred", "thousand", "grand", "million", *_CODES,
)  # fmt: skip
_MONEY = re.compile(rf"[0-9]k?[ -]?(?:(?:us |american )?(?:{_DOLLARS})|{_OTHER_NAME})")

_WORD = rf"(?:{'|'.join((*_SMALL, *_SCALES))})"
_RUN = re.compile(
    rf"\b(?:(?P<figure>{NUMBER}) |(?P<one>a |a couple (?:of )?)(?=hundred|thousand|grand|million))?"
    rf"(?P<words>{_WORD}(?:(?:[ -]|(?:(?<=hundred)|(?<=thousand)) and ){_WORD}){{0,8}})\b"
)
_CENTS = re.compile(r"(?<![.0-9])([0-9]{1,6})(?: and|,)? ([1-9][0-9]) cents?\b")
_BETWEEN_WORDS = re.compile(r"[ -](?:and )?")
_OTHER_BEFORE = re.compile(rf"(?:{_OTHER_SIGN}|\b(?:{_OTHER_CODE}) ) ?(?=[0-9])")
_USD = re.compile(r"\busd ?\$? ?(?=[0-9])")
_OTHER_AFTER = re.compile(rf"(?<![\w.,])\$? ?({NUMBER})(k?)(?: |-)?(?:{_OTHER_NAME})")
_DOLLARS_AFTER = re.compile(rf"(?<![\w.,{OTHER_MONEY}])\$? ?({NUMBER})(k?)(?: |-)?(?:(?:us|american) )?(?:{_DOLLARS})")


def has_amounts_in_words(plain_text: str, has_digits: bool, has_words: bool) -> bool:
    """Whether :func:`in_figures` may change a text."""
    return (
        (has_words and any(map(plain_text.__contains__, _SIGNS)))
        or not plain_text.isascii()
        or (has_digits and _MONEY.search(plain_text) is not None)
    )


def in_figures(plain_text: str) -> str:
    """The text with its amounts of money in figures.

    "One fifty" is 150. What may be 12.50 as well as 1,250 ("twelve fifty") becomes the range "12-50", no price.

    Args:
        plain_text: as :func:`sotopia_env.families.plain_text.plain` returns it.
    """
    plain_text = _RUN.sub(_figures, plain_text)
    if plain_text.isascii() and not (_MONEY.search(plain_text) or any(map(plain_text.__contains__, _CODES))):
        return plain_text
    plain_text = _USD.sub("$", plain_text)
    plain_text = _OTHER_AFTER.sub(rf" {OTHER_MONEY}\1\2", plain_text)
    plain_text = _OTHER_BEFORE.sub(OTHER_MONEY, plain_text)
    plain_text = _DOLLARS_AFTER.sub(r" $\1\2", plain_text).replace("  ", " ")
    return _CENTS.sub(r"\1.\2", plain_text)


def _figures(match: re.Match[str]) -> str:
    words = _BETWEEN_WORDS.split(match["words"])
    if words == ["one"] and not match.string.startswith((" dollar", " buck"), match.end()):
        return match[0]  # "this one" is no number
    total, current = 0.0, 0.0
    if match["figure"]:
        if words[0] not in _SCALES:
            return match[0]
        current = float(match["figure"].replace(",", ""))
    elif match["one"]:
        current = 1.0 if match["one"] == "a " else 2.0
    for index, word in enumerate(words):
        scale, value = _SCALES.get(word), _SMALL.get(word, 0)
        if scale is not None:
            current = (current or 1.0) * scale
            if scale > 100:
                total, current = total + current, 0.0
        elif current % 100 == 0 or (value < 10 and current % 100 >= 20 and current % 10 == 0):
            current += value
        elif 0 < current < 10 and value >= 10:
            current = 100 * current + value
        elif current >= 10 and value >= 10 and index == 1:
            return f"{current:g}-{value}"
        else:
            return match[0]
    rough = "about " if (match["one"] or "a ") != "a " else ""
    sign = "$" if "grand" in words and "$" not in match.string[max(0, match.start() - 2) : match.start()] else ""
    return f"{rough}{sign}{total + current:.12g}"
