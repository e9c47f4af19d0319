"""Topics of MQTT, and whose they are; which of them a channel may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prx.channels.adapters.mqtt.topics import topic_for, writer_of
from prx.config.platforms.mqtt import MqttConfig

LEVEL = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.lists(st.one_of(st.just("+"), LEVEL), min_size=1, max_size=6), st.data())
def test_whoever_wrote_is_answered_on_the_topic_that_they_wrote_on(
    levels: list[str], data: st.DataObject
) -> None:
    pattern = "/".join(levels)
    topic = "/".join(data.draw(LEVEL) if level == "+" else level for level in levels)
    assert topic_for(writer_of(topic, pattern), pattern) == topic


@pytest.mark.parametrize("conversation", ["", "a/b/c", "a/+", "#/b", "a\0/b", "a"])
def test_nobody_else_s_topic_is_written_to(conversation: str) -> None:
    assert topic_for(conversation, "out/+/x/+") is None


@pytest.mark.parametrize(
    ("topic_in", "topic_out"),
    [("a/+", "a/+"), ("+/b", "a/+"), ("a/b", "a/b"), ("a/+", "a/b/c"), ("a/x+", "b/+"), ("a/#", "b")],
    ids=["same", "crossing", "plain", "fewer", "part of a level", "all below"],
)
def test_topics_that_would_not_do_are_refused(topic_in: str, topic_out: str) -> None:
    with pytest.raises(ValidationError):
        MqttConfig(host="x", topic_in=topic_in, topic_out=topic_out)
