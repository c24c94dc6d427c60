"""The version of the way from bytes to documents. Rows are extracted again when it changes."""

from importlib.metadata import version

RULES = "3"
"""Bumped by hand whenever a change in this room changes the text, the title, the borders or the headings of any document."""

LIBRARIES = (
    "html-to-markdown",
    "lxml",
    "pypdfium2",
    "python-calamine",
    "python-docx",
    "python-pptx",
    "resiliparse",
    "selectolax",
    "semantic-text-splitter",
)

PIPELINE_VERSION = "; ".join((f"rules {RULES}", *(f"{name} {version(name)}" for name in LIBRARIES)))
