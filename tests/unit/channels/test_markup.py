"""Markdown in the markup of platforms: what a reader sees stays, tags are in order, and nothing is made of text."""

from html.parser import HTMLParser

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prx.channels.markup import formatted
from prx.core.channel import Markup

TAGGED: list[Markup] = ["html", "telegram"]
MARKS = ["**", "*", "_", "__", "~~", "`", "```\n", "[a](https://b.c/?d=e&f)", "# ", "> ", "- ", "\\*"]
OTHERS = ["\n", "<b>", "&amp;", '"', "word "]
PIECES = st.sampled_from(MARKS) | st.sampled_from(OTHERS) | st.text(max_size=5)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


class Reader(HTMLParser):
    """Reads what a platform does, and insists on order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.text += "\n"
            return
        assert [name for name, _ in attributes] in ([], ["href"], ["class"])
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> str:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.text


@given(TEXTS, st.sampled_from(TAGGED))
def test_tags_are_in_order_and_no_word_is_lost(text: str, markup: Markup) -> None:
    assume("```" not in text and "~~~" not in text)  # what stands behind those is for machines
    shown = read(formatted(text, markup) or "").replace("](https://b.c/?d=e&f)", "]")
    assert _letters(shown) == _letters(text.replace("](https://b.c/?d=e&f)", "]"))


@given(st.text("abc <>&\"'.:;=/()\n", max_size=200), st.sampled_from(TAGGED))
def test_a_text_without_markup_is_what_is_read(text: str, markup: Markup) -> None:
    if "\n>" not in f"\n{text}".replace(" ", ""):
        assert read(formatted(text, markup) or "") == text


@given(TEXTS)
def test_slack_is_given_no_mention_that_was_not_meant(text: str) -> None:
    for part in (formatted(text, "mrkdwn") or "").split("<")[1:]:
        assert part.startswith("https://b.c/?d=e&amp;f|")


SAMPLE = """# Weather *today*

**12 °C** and _windy_; [the map](https://example.com/?a=1&b=2) or `ls <url>`.
- ~~rain~~
> said
> twice
```python
if a < b and "c":
    pass
```
snake_case_name 2*3*4"""


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (
            "telegram",
            """<b>Weather <i>today</i></b>

<b>12 °C</b> and <i>windy</i>; <a href="https://example.com/?a=1&amp;b=2">the map</a> or <code>ls &lt;url&gt;</code>.
• <s>rain</s>
<blockquote>said
twice</blockquote>
<pre><code class="language-python">if a &lt; b and &quot;c&quot;:
    pass</code></pre>
snake_case_name 2*3*4""",
        ),
        (
            "mrkdwn",
            """*Weather _today_*

*12 °C* and _windy_; <https://example.com/?a=1&amp;b=2|the map> or `ls &lt;url&gt;`.
• ~rain~
> said
> twice
```
if a &lt; b and "c":
    pass
```
snake_case_name 2*3*4""",
        ),
        (
            "styling",
            """*Weather _today_*

*12 °C* and _windy_; the map (https://example.com/?a=1&b=2) or `ls <url>`.
• ~rain~
> said
> twice
```
if a < b and "c":
    pass
```
snake_case_name 2*3*4""",
        ),
        ("markdown", SAMPLE),
        ("plain", None),
    ],
)
def test_each_platform_has_its_own_markup(markup: Markup, expected: str | None) -> None:
    assert formatted(SAMPLE, markup) == expected


def test_whole_html_has_line_breaks_of_its_own() -> None:
    assert formatted("a\n**b**", "html") == "a<br><strong>b</strong>"


def test_many_openings_without_an_end_cost_little() -> None:
    assert formatted("**a " * 4000 + "~~b " * 4000, "telegram")


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())
