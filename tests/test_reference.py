"""The pages of docs/reference that are made from the code are those that the code makes."""

from pathlib import Path

import pytest

from tidings.cli.reference import PAGES

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m tidings.cli.reference docs/reference"
