"""Tables that the documentation takes from the code say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.generated import ROOT, TABLES, blocks, body, pages

FOUND = [
    (page, name, text)
    for page in pages()
    for name, text in blocks(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(
    ("page", "name", "text"),
    FOUND,
    ids=[f"{page.relative_to(ROOT)}:{name}" for page, name, _ in FOUND],
)
def test_a_generated_table_is_what_the_code_says(page, name, text) -> None:
    assert text == body(name), "to write it anew: python -m tests.docs.generated"


def test_each_table_is_on_a_page() -> None:
    assert {name for _, name, _ in FOUND} == set(TABLES)
