"""What models write, Markdown, in the markup of each platform. What is no markup stays as it was written."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from prx.core.channel import Markup

# Bounded, so that many openings without an end cost little.
_INLINE: Final = re.compile(
    r"""
    \\(?P<escaped>[!-/:-@\[-`{-~])
    | (?P<ticks>`+)(?!`)(?P<code>[^\n]{1,2000}?)(?<!`)(?P=ticks)(?!`)
    | \[(?P<label>[^\[\]\n]{1,500})\]\((?P<url>(?:https?://|mailto:)[^\s()<>"]{1,2000})\)
    | \*\*(?=\S)(?P<bold>.{1,1000}?)(?<=\S)\*\*
    | (?<!\w)__(?=\S)(?P<bold2>.{1,1000}?)(?<=\S)__(?!\w)
    | ~~(?=\S)(?P<struck>.{1,1000}?)(?<=\S)~~
    | (?<![\w*])\*(?=[^\s*])(?P<italic>.{1,1000}?)(?<=[^\s*])\*(?![\w*])
    | (?<![\w_])_(?=[^\s_])(?P<italic2>.{1,1000}?)(?<=[^\s_])_(?![\w_])
    """,
    re.VERBOSE,
)
_FENCE: Final = re.compile(r"^ {0,3}(?P<marks>`{3,}|~{3,}) *(?P<language>[\w+#.-]{0,40})[^`\n]*$")
_HEADING: Final = re.compile(r"^ {0,3}#{1,6} +(?P<title>.+?) *#*$")
_QUOTE: Final = re.compile(r"^ {0,3}> ?(?P<said>.*)$")
_ITEM: Final = re.compile(r"^(?P<indent> {0,12})[-*+] +(?P<what>.*)$")
_MAX_DEPTH: Final = 4

Wrap = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a platform writes each thing; every part is given text that is escaped already."""

    escape: Wrap
    bold: Wrap
    italic: Wrap
    struck: Wrap
    code: Wrap
    link: Callable[[str, str], str]
    block: Callable[[str, str], str]
    """Code and its language."""
    quote: Callable[[str], str]
    """Lines, joined."""
    line_break: str = "\n"


def formatted(text: str, markup: Markup) -> str | None:
    """Return Markdown in another markup; None for a platform that has none, as for text without any."""
    if markup == "plain":
        return None
    if markup == "markdown":
        return text
    dialect = _DIALECTS[markup]
    return dialect.line_break.join(_lines(text, dialect))


def _lines(text: str, dialect: _Dialect) -> Iterator[str]:
    """Yield what the lines become; a code block, or a quote, is one."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if fence := _FENCE.match(line):
            end = _end_of_code(lines, at, fence["marks"])
            yield dialect.block(dialect.escape("\n".join(lines[at:end])), dialect.escape(fence["language"]))
            at = end + 1
        elif _QUOTE.match(line):
            said = [line]
            while at < len(lines) and _QUOTE.match(lines[at]):
                said.append(lines[at])
                at += 1
            inner = (_inline(_QUOTE.sub(r"\g<said>", each), dialect) for each in said)
            yield dialect.quote(dialect.line_break.join(inner))
        elif heading := _HEADING.match(line):
            # Bold in bold is none.
            yield dialect.bold(_inline(heading["title"].replace("**", ""), dialect))
        elif item := _ITEM.match(line):
            yield f"{item['indent']}• {_inline(item['what'], dialect)}"
        else:
            yield _inline(line, dialect)


def _end_of_code(lines: list[str], at: int, marks: str) -> int:
    for number in range(at, len(lines)):
        stripped = lines[number].strip()
        if len(stripped) >= len(marks) and set(stripped) == {marks[0]}:
            return number
    return len(lines)


def _inline(text: str, dialect: _Dialect, depth: int = 0) -> str:
    if depth >= _MAX_DEPTH:
        return dialect.escape(text)
    made, end = [], 0
    for match in _INLINE.finditer(text):
        made += [dialect.escape(text[end : match.start()]), _span(match, dialect, depth + 1)]
        end = match.end()
    return "".join([*made, dialect.escape(text[end:])])


def _span(match: re.Match[str], dialect: _Dialect, depth: int) -> str:
    if (code := match["code"]) is not None:
        return dialect.code(dialect.escape(code))
    if (character := match["escaped"]) is not None:
        return dialect.escape(character)
    if (url := match["url"]) is not None:
        return dialect.link(_inline(match["label"], dialect, depth), dialect.escape(url))
    for name, wrap in (("bold", dialect.bold), ("italic", dialect.italic), ("struck", dialect.struck)):
        inner = match[name] or (match[f"{name}2"] if name != "struck" else None)
        if inner is not None:
            return wrap(_inline(inner, dialect, depth))
    raise AssertionError(match)  # one of the groups matched


def _between(before: str, after: str | None = None) -> Wrap:
    end = before if after is None else after
    return lambda inner: f"{before}{inner}{end}"


def _element(tag: str) -> Wrap:
    return _between(f"<{tag}>", f"</{tag}>")


def _html_block(code: str, language: str) -> str:
    of = f' class="language-{language}"' if language else ""
    return f"<pre><code{of}>{code}</code></pre>"


def _quoted_lines(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def _slack_escape(text: str) -> str:
    return escape(text, quote=False)


_TELEGRAM: Final = _Dialect(
    escape=escape,
    bold=_element("b"),
    italic=_element("i"),
    struck=_element("s"),
    code=_element("code"),
    link=lambda label, url: f'<a href="{url}">{label}</a>',
    block=_html_block,
    quote=_element("blockquote"),
)
_DIALECTS: Final[Mapping[Markup, _Dialect]] = {
    "html": replace(
        _TELEGRAM,
        bold=_element("strong"),
        italic=_element("em"),
        struck=_element("del"),
        line_break="<br>",
    ),
    "telegram": _TELEGRAM,
    "mrkdwn": _Dialect(
        escape=_slack_escape,
        bold=_between("*"),
        italic=_between("_"),
        struck=_between("~"),
        code=_between("`"),
        link=lambda label, url: f"<{url}|{label}>",
        block=lambda code, _: f"```\n{code}\n```",
        quote=_quoted_lines,
    ),
    "styling": _Dialect(
        escape=str,
        bold=_between("*"),
        italic=_between("_"),
        struck=_between("~"),
        code=_between("`"),
        link=lambda label, url: url if label == url else f"{label} ({url})",
        block=lambda code, _: f"```\n{code}\n```",
        quote=_quoted_lines,
    ),
}
