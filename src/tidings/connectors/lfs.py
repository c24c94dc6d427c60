"""Files that a git repository only points to: their content lies elsewhere (Git LFS)."""

from tidings.errors import RowNotRead

POINTER = b"version https://git-lfs.github.com/spec/"
KEPT_ELSEWHERE = "This file is kept in Git LFS: the repository has only a pointer to it. Take it out of LFS, or name it in exclude."


def refuse_lfs(content: bytes) -> None:
    """Raises `RowNotRead` where the content is a pointer."""
    if content.startswith(POINTER):
        raise RowNotRead(KEPT_ELSEWHERE)
