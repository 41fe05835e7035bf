"""The pure parts, retention and pacing apart: what fits, what is said."""

from hypothesis import given
from hypothesis import strategies as st

from handler.documents.job import cut


@given(st.text(), st.integers(10, 500))
def test_a_cut_text_fits(text: str, size: int) -> None:
    import json

    assert len(json.dumps(cut(text, size))) - 2 <= max(size, 0)
