"""What MkDocs is given beside docs/: the pages of the root, and the product's font and icon. Links hold in the repository, and are led to their pages here."""

import re
from collections.abc import Callable
from pathlib import Path
from posixpath import relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "src" / "tidings" / "web" / "static"
BROUGHT = {
    "index.md": ROOT / "README.md",
    "architecture.md": ROOT / "ARCHITECTURE.md",
    "changelog.md": ROOT / "CHANGELOG.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "making.css": Path(__file__).with_name("making.css"),
    "inter.woff2": STATIC / "inter.woff2",
    "favicon.svg": STATIC / "favicon.svg",
}
FENCE_OR_LINK = re.compile(
    r"^(?P<fence>```|~~~).*?^(?P=fence)|\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)|(?P<attribute>src|srcset)=\"(?P<picture>[^\"]+)\"",
    re.MULTILINE | re.DOTALL,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All that becomes the site."""
    for name, path in BROUGHT.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page with links that hold on the site; what is not on it, such as a source file, is named without one."""
    here = BROUGHT.get(page.file.src_uri, Path(config.docs_dir) / page.file.src_uri)
    there = {path: name for name, path in BROUGHT.items()} | {Path(config.docs_dir) / file.src_uri: file.src_uri for file in files}

    def led(target: str) -> str | None:
        path, mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z][a-z0-9+.-]*:", target):
            return target
        found = (here.parent / path).resolve()
        name = there.get(found) or there.get(found / "README.md")
        return None if name is None else relpath(name, str(Path(page.file.src_uri).parent)) + mark + anchor

    return FENCE_OR_LINK.sub(_rewriting(led), markdown)


def _rewriting(led: Callable[[str], str | None]) -> Callable[[re.Match[str]], str]:
    """How one fence (not at all), link or picture is written."""

    def rewrite(match: re.Match[str]) -> str:
        if match["target"]:
            target = led(match["target"])
            return match["text"] if target is None else f"[{match['text']}]({target})"
        if match["picture"]:
            return f'{match["attribute"]}="{led(match["picture"])}"'
        return match[0]

    return rewrite
