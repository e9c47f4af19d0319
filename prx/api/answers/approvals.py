"""Calls of tools that wait for somebody to allow them."""

from prx.api.answers.messages import ShownCall
from prx.api.bodies import Answer, Moment


class ShownApproval(Answer):
    """A call that waits for a decision."""

    id: str
    call: ShownCall
    expires_at: Moment
    """When it is denied, unless somebody decides before."""


class ApprovalList(Answer):
    """What is to be decided in a session, the oldest first."""

    approvals: list[ShownApproval]


class Decided(Answer):
    """A decision that was taken."""

    id: str
    approved: bool
