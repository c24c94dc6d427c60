"""HTML: the main content as Markdown, without navigation, scripts and what stands around it on every page."""

import html as entities
import re
from collections.abc import Sequence

from html_to_markdown import CodeBlockStyle, ConversionOptions, HeadingStyle, PreprocessingOptions, convert
from resiliparse.extract.html2text import extract_plain_text
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tidings.errors import RowNotRead
from tidings.text.markdown import first_heading
from tidings.text.parts import Draft

ENOUGH = 200
"""Characters of text below which something that claims to be the main content is not believed."""
NEARLY_ALL = 0.8
"""Share of a page's words from which on it has so little around its content that it is taken as a whole, which keeps tables and code intact."""
MAX_DEPTH = 1_000
"""Elements inside elements; beyond this the parsers get slow, or drop what is below."""

NEEDS_SCRIPTS = (
    "This page shows nothing before its JavaScript has run, and Tidings runs none. Have the site serve its text in the page itself "
    "(server-side rendering), or name another source of it."
)
_AROUND = "script, style, noscript, template, svg, iframe, nav, aside, footer, dialog, button, select, [hidden], [aria-hidden=true], [role=navigation]"
_APPLICATION = "#root, #app, #__next, #__nuxt, #___gatsby, app-root, [data-reactroot], [ng-app]"
_INVISIBLE = "script, style, noscript, template, svg, iframe"
_UNSEEN_TAGS = frozenset({"script", "style", "noscript", "template"})
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_SELF_CLOSING = frozenset(
    "area base br col dd dt embed hr img input li link meta option p param path rect source tbody td tfoot th thead tr track use wbr".split()  # noqa: SIM905
)
_UNSEEN = re.compile(r"<!--|<(script|style)\b", re.IGNORECASE)
_ENDS = {name: re.compile(rf"</{name}[^<>]*>" if name else "-->", re.IGNORECASE) for name in ("", "script", "style")}
_ANY_TAG = re.compile(r"<[^<>]*>")


def read_html(text: str, url: str | None = None, *, whole: bool = False, select: Sequence[str] = (), remove: Sequence[str] = ()) -> Draft:
    """The content of a page; `whole` takes everything visible, as in a book. Relative links are completed with `url`.

    What the CSS selectors `remove` match is taken away first; then the content is what those of `select` match, if there are any. RowNotRead where
    nothing matches them, or where a page shows nothing before its scripts have run.
    """
    if nests_too_deep(text):
        return Draft(entities.unescape(_strip_tags(text)))
    tree = LexborHTMLParser(text)
    named = tree.css_first("title")
    title = named.text().strip() if named is not None else ""
    for node in tree.css(", ".join(remove)) if remove else ():
        node.decompose()
    scripted = not whole and _hints_at_scripts(tree)
    content = _selected(tree, select) if select else _find_content(tree.html or "" if remove else text, tree, whole=whole)
    markdown = _to_markdown(content, url)
    if scripted and len(markdown.strip()) < ENOUGH:
        raise RowNotRead(NEEDS_SCRIPTS)
    return Draft(markdown, title or first_heading(markdown), markdown=True)


def _selected(tree: LexborHTMLParser, select: Sequence[str]) -> str:
    """The HTML of what the selectors match, in the order of the page, each part once."""
    for node in tree.css(_INVISIBLE):
        node.decompose()
    found = tree.css(", ".join(select))
    inside = {inner.mem_id for node in found for inner in node.css("*") if inner.mem_id != node.mem_id}
    if not found:
        raise RowNotRead(f"Nothing on this page is matched by `select` ({', '.join(select)[:200]}). Correct it, or leave it out.")
    return "\n".join(node.html or "" for node in found if node.mem_id not in inside)


def _hints_at_scripts(tree: LexborHTMLParser) -> bool:
    """Whether a page would be filled by its scripts: an empty place for an application, a plea to switch JavaScript on, or nothing else at all."""
    if tree.css_first("script") is None or tree.body is None:
        return False
    if any(not node.text().strip() for node in tree.css(_APPLICATION)) or any("javascript" in node.text().lower() for node in tree.css("noscript")):
        return True
    return not any(node.text(deep=False).strip() for node in tree.body.traverse(include_text=False) if node.tag not in _UNSEEN_TAGS)


def nests_too_deep(text: str) -> bool:
    """Whether elements stand inside each other deeper than any page that was written to be read."""
    if text.count("<") <= MAX_DEPTH:
        return False
    depth = 0
    for closing, name in _TAG.findall(text):
        if name.lower() not in _SELF_CLOSING:
            depth += -1 if closing else 1
            if depth > MAX_DEPTH:
                return True
    return False


def _find_content(text: str, tree: LexborHTMLParser, *, whole: bool) -> str:
    """The HTML of the main content: what the page marks as such, else what resiliparse finds, else all of the body."""
    for node in tree.css(_INVISIBLE if whole else _AROUND):
        node.decompose()
    body = tree.body
    if body is None:
        return text
    if not whole:
        marked = _marked_main(tree)
        if marked is not None:
            return marked.html or ""
        found = extract_plain_text(text, preserve_formatting="minimal_html", main_content=True, alt_texts=False)
        if len(found) >= ENOUGH and _count_words(found) < NEARLY_ALL * len(body.text(separator=" ").split()):
            return found
    return body.html or ""


def _marked_main(tree: LexborHTMLParser) -> LexborNode | None:
    """The longest element that the page itself marks as its main content, or its only article, if there is enough in it."""
    marked = tree.css("main, [role=main]")
    if not marked:
        articles = tree.css("article")
        marked = articles if len(articles) == 1 else []
    longest = max(marked, key=lambda node: len(node.text()), default=None)
    return longest if longest is not None and len(longest.text().strip()) >= ENOUGH else None


def _count_words(markup: str) -> int:
    return len(_strip_tags(markup).split())


def _strip_tags(markup: str) -> str:
    """What is left without tags, comments, scripts and styles. Takes time in proportion to the length, whatever is never closed."""
    kept: list[str] = []
    position = 0
    while opening := _UNSEEN.search(markup, position):
        kept.append(markup[position : opening.start()])
        closing = _ENDS[(opening[1] or "").lower()].search(markup, opening.end())
        position = closing.end() if closing else len(markup)
    kept.append(markup[position:])
    return _ANY_TAG.sub(" ", " ".join(kept))


def _to_markdown(markup: str, url: str | None) -> str:
    base = url if url and url.startswith(("http://", "https://")) else None
    options = ConversionOptions(
        heading_style=HeadingStyle.ATX,
        code_block_style=CodeBlockStyle.BACKTICKS,
        extract_metadata=False,
        skip_images=True,
        compact_tables=True,
        preprocessing=PreprocessingOptions(enabled=False),  # it drops every <header>, and with it many a title
        base_url=base,
    )
    return convert(markup, options).content or ""
