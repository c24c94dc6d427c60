"""The bounds on what ZIP containers (DOCX, PPTX, XLSX, EPUB) may unpack to."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from tidings.errors import RowNotRead
from tidings.text.kinds import Kind

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_MEMBERS = 20_000


@contextmanager
def open_archive(content: bytes, kind: Kind) -> Iterator[zipfile.ZipFile]:
    """The ZIP container, once its whole content is known to unpack to a bounded size without a password.

    The sizes are those that its directory states: `zipfile` never unpacks more of a member than is stated there.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise RowNotRead(f"This {kind.value} is damaged or was cut off: save it again and replace it.") from error
    with archive:
        members = archive.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise RowNotRead(f"This {kind.value} is protected by a password: remove the password and replace the file.")
        if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
            raise RowNotRead(
                f"This {kind.value} unpacks to more than {MAX_UNPACKED_BYTES // 1024 // 1024} MB or {MAX_MEMBERS} parts: split it into smaller files."
            )
        yield archive
