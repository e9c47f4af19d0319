"""Whose topic is whose: the levels that a filter leaves open are who writes."""


def writer_of(topic: str, pattern: str) -> str:
    """Return who writes on a topic that a filter matches: its open levels, or all of it where none is open."""
    pairs = zip(topic.split("/"), pattern.split("/"), strict=False)
    return "/".join(level for level, asked in pairs if asked == "+") or topic


def topic_for(conversation: str, pattern: str) -> str | None:
    """Return the topic that a conversation is answered on; None where it cannot be one of these."""
    if "+" not in pattern.split("/"):
        return pattern
    levels = conversation.split("/")
    if len(levels) != pattern.split("/").count("+") or any(set(level) & set("+#\0") for level in levels):
        return None
    left = iter(levels)
    return "/".join(next(left) if level == "+" else level for level in pattern.split("/"))
