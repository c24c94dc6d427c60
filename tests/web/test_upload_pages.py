"""The files of a data source in the browser: several at once, each refused one with its sentence, and only with the token of the form; on both databases."""

from typing import Any

import httpx

from tests.web.test_data_source_pages import Browser, ann  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World


async def uploaded(ann: Browser, source: str, *files: tuple[str, bytes], **token: Any) -> httpx.Response:  # noqa: F811
    """What a browser gets that sends these files; the form's token stands before them, as on the page."""
    parts: list[tuple[str, Any]] = [("form_token", (None, token.get("token", ann.token))), *(("files", file) for file in files)]
    return await ann.client.post(f"{source}/files", files=parts)


async def test_files_are_uploaded_refused_one_by_one_replaced_and_deleted(house: World, ann: Browser) -> None:  # noqa: F811
    made = await ann.post(f"{ann.bot}/data-sources/new", type="files", name="Papers")
    assert made.headers["location"].endswith("/files")
    source = made.headers["location"].removesuffix("/files")
    assert "No files yet" in (await ann.get(f"{source}/files")).text
    assert (await uploaded(ann, source, ("a.md", b"# A"), ("b.md", b"# B"))).status_code == 303
    page = (await ann.get(f"{source}/files")).text
    assert "2 files were uploaded" in page
    assert "b.md" in page
    large = b"x" * (int(house.services.settings.max_file_mb * 1024 * 1024) + 1)
    some = await uploaded(ann, source, ("a.md", b"# Another"), ("large.md", large), ("d/e.md", b"x"))
    assert some.status_code == 422
    assert "large.md is larger than" in some.text
    assert "has no slashes or backslashes" in some.text
    assert "1 file was uploaded" in some.text
    assert "No file was chosen" in (await uploaded(ann, source, ("", b""))).text
    many = await uploaded(ann, source, *((f"{n}.md", b"x") for n in range(101)))
    assert many.status_code == 422
    assert "More than 100 files came at once, so none was kept." in many.text
    assert "Upload files" in many.text, "It stays on the page, to choose others"
    kept = (await ann.get(f"{source}/files")).text
    assert "2 files" in kept
    assert "9 B" in kept  # a.md was replaced
    assert "Delete a.md?" in (await ann.get(f"{source}/files/delete?name=a.md")).text
    assert (await ann.post(f"{source}/files/delete", name="a.md")).status_code == 303
    assert "a.md was deleted" in (await ann.get(f"{source}/files")).text
    assert (await ann.post(f"{source}/files/delete", name="a.md")).status_code == 404


async def test_an_upload_needs_its_token_at_its_head(ann: Browser) -> None:  # noqa: F811
    made = await ann.post(f"{ann.bot}/data-sources/new", type="files", name="Papers")
    source = made.headers["location"].removesuffix("/files")
    assert (await uploaded(ann, source, ("a.md", b"# A"), token="0" * 64)).status_code == 403
    assert (await ann.client.post(f"{source}/files", files={"files": ("a.md", b"# A")})).status_code == 403
    late: Any = [("files", ("a.md", b"x" * 5000)), ("form_token", (None, ann.token))]
    assert (await ann.client.post(f"{source}/files", files=late)).status_code == 403
    assert "No files yet" in (await ann.get(f"{source}/files")).text


async def test_many_files_are_listed_on_pages_that_stay_small(ann: Browser) -> None:  # noqa: F811
    made = await ann.post(f"{ann.bot}/data-sources/new", type="files", name="Papers")
    source = made.headers["location"].removesuffix("/files")
    names = [f"guide-to-the-thing-{n:02}-of-northwind.md" for n in range(100)]
    assert (await uploaded(ann, source, *((name, b"x") for name in names))).status_code == 303
    page = (await ann.get(f"{source}/files")).text
    assert len(page.encode()) < 60_000
    assert f"?after={names[49]}" in page
    assert names[99] in (await ann.get(f"{source}/files?after={names[49]}")).text


async def test_a_folder_of_uploads_that_can_not_be_used_is_told(house: World, ann: Browser) -> None:  # noqa: F811
    made = await ann.post(f"{ann.bot}/data-sources/new", type="files", name="Papers")
    source = made.headers["location"].removesuffix("/files")
    (house.services.settings.home / "uploads").write_text("not a folder")
    for answer in (await uploaded(ann, source, ("a.md", b"# A")), await ann.get(f"{source}/files"), await ann.post(f"{source}/files/delete", name="a.md")):
        assert answer.status_code == 503
        assert "Uploads can&#39;t be used on the server:" in answer.text
