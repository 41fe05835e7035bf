"""What of a token may be told: not even 8 characters in a row."""

import random
import string

PIECE = 8


def a_token(name: str) -> str:
    """64 letters and digits as Hetzner's are; no piece of it is in any text by chance."""
    return "".join(random.Random(name).choices(string.ascii_letters + string.digits, k=64))


def piece_of(token: str, text: str) -> str:
    """The first piece of the token that the text holds; empty if it holds none."""
    for at in range(len(token) - PIECE + 1):
        if (piece := token[at : at + PIECE]) in text:
            return piece
    return ""
