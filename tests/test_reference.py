"""The pages of docs/reference that are made from the code are those that the code makes."""

from pathlib import Path

import pytest

from tidings.cli.reference import PAGES, connectors_table, with_table

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m tidings.cli.reference docs/reference"


def test_the_table_of_connectors_is_what_the_code_makes() -> None:
    page = (REFERENCE.parent / "connectors.md").read_text(encoding="utf-8")
    assert connectors_table() in page
    assert with_table(page) == page, "run python -m tidings.cli.reference docs/reference"
