"""The known word that is nearest to a wrong one."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar of the known words, however far; at least one is known."""
    return difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)[0]


def similarity(word: str, other: str) -> float:
    """How alike two words are, 0 to 1."""
    return difflib.SequenceMatcher(None, word, other).ratio()
