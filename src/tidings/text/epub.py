"""EPUB: the chapters in reading order, through the HTML reader."""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from tidings.errors import RowNotRead
from tidings.text.archive import open_archive
from tidings.text.decode import decode
from tidings.text.html import read_html
from tidings.text.kinds import Kind
from tidings.text.parts import Draft, join_lines

_DAMAGED = "This EPUB book is damaged or was cut off: save it again and replace it."
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_CHAPTER_TYPES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml"}


def read_epub(content: bytes) -> Draft:
    """The text of all chapters of the book's spine (EPUB 3.3, 5.7)."""
    with open_archive(content, Kind.EPUB) as archive:
        _refuse_protected(archive)
        root = next(_parse(archive, "META-INF/container.xml").iter("{*}rootfile"), None)
        path = (root.get("full-path") if root is not None else None) or ""
        package = _parse(archive, path)
        title = package.findtext(".//{http://purl.org/dc/elements/1.1/}title")
        chapters = _chapters(archive, package, posixpath.dirname(path))
        return Draft(join_lines(f"{chapter}\n" for chapter in chapters), title, markdown=True)


def _chapters(archive: zipfile.ZipFile, package: etree._Element, folder: str) -> Iterator[str]:
    manifest = {item.get("id"): item for item in package.iter("{*}item")}
    names = set(archive.namelist())
    for reference in package.iter("{*}itemref"):
        item = manifest.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _CHAPTER_TYPES:
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))
        if name in names:
            yield read_html(decode(archive.read(name)), whole=True).text


def _refuse_protected(archive: zipfile.ZipFile) -> None:
    """Refuses books whose chapters are encrypted; scrambled fonts alone do no harm."""
    if "META-INF/encryption.xml" in archive.namelist():
        methods = _parse(archive, "META-INF/encryption.xml").iter("{*}EncryptionMethod")
        if any(method.get("Algorithm") not in _FONT_SCRAMBLING for method in methods):
            raise RowNotRead("This EPUB book is protected against copying: replace it with an unprotected one.")


def _parse(archive: zipfile.ZipFile, name: str) -> etree._Element:
    """A part of the book as XML, with entities left alone and nothing fetched."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(archive.read(name), parser)
    except (KeyError, zipfile.BadZipFile, etree.XMLSyntaxError, ValueError) as error:
        raise RowNotRead(_DAMAGED) from error
    if root is None:
        raise RowNotRead(_DAMAGED)
    return root
