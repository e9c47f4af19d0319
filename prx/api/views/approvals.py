"""Approvals: calls of tools that wait for somebody to allow them."""

from aiohttp import web
from pydantic import Field

from prx.api.answers.approvals import ApprovalList, Decided
from prx.api.bodies import Body, reply
from prx.api.deps import AGENT, SESSIONS
from prx.api.routes import Routes
from prx.api.turn_stream import shown_approval

routes = Routes()


class Decision(Body):
    """Whether a call may run."""

    approve: bool
    reason: str | None = Field(default=None, min_length=1, max_length=1000)
    """Why not, for the model to know."""


@routes.get("/sessions/{id}/approvals", scope="sessions:read", answer=ApprovalList, refuses=(404, 503))
async def list_approvals(request: web.Request) -> web.Response:
    """Calls that wait for a decision in a session, the oldest first."""
    session = await request.app[SESSIONS].get(request.match_info["id"])
    found: ApprovalList = {
        "approvals": [shown_approval(each) for each in request.app[AGENT].approvals.open(session.id)]
    }
    return reply(found)


@routes.post(
    "/sessions/{id}/approvals/{approval}",
    scope="sessions:write",
    body=Decision,
    answer=Decided,
    refuses=(404,),
)
async def decide_approval(request: web.Request, body: Decision) -> web.Response:
    """Allow a call or deny it."""
    approval = request.match_info["approval"]
    request.app[AGENT].approvals.decide(
        request.match_info["id"], approval, approve=body.approve, reason=body.reason
    )
    decided: Decided = {"id": approval, "approved": body.approve}
    return reply(decided)
