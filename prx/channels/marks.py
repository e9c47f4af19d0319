"""How far each conversation was read, for platforms that forget what nobody was there to hear but let it be read."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

_MOST: Final = 200


class Marks:
    """The last message that was seen of each of the conversations that were active last."""

    def __init__(self, known: Mapping[str, str] | None = None, *, most: int = _MOST) -> None:
        """Know `known`, the conversation that was active last at its end."""
        self._marks = OrderedDict(known or {})
        self._most = most
        self._bound()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield conversations and the ids of their last messages; may change meanwhile."""
        return iter(list(self._marks.items()))

    def __contains__(self, conversation: str) -> bool:
        """Tell whether a conversation is known."""
        return conversation in self._marks

    def set(self, conversation: str, message_id: str) -> None:
        """Note the last message of a conversation; where there are many, the one that was silent for longest goes."""
        self._marks[conversation] = message_id
        self._marks.move_to_end(conversation)
        self._bound()

    def forget(self, conversation: str) -> None:
        """Note that a conversation is gone."""
        self._marks.pop(conversation, None)

    def as_dict(self) -> dict[str, str]:
        """Return what a later life is given as `known`."""
        return dict(self._marks)

    def _bound(self) -> None:
        while len(self._marks) > self._most:
            self._marks.popitem(last=False)
