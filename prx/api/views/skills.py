"""Skills: instructions that messages can bring into a turn."""

from dataclasses import asdict

from aiohttp import web

from prx.api.answers.skills import SkillList
from prx.api.bodies import reply
from prx.api.deps import SKILLS
from prx.api.routes import Routes

routes = Routes()


@routes.get("/skills", scope="skills:read", answer=SkillList)
async def list_skills(request: web.Request) -> web.Response:
    """Every skill that can be used now, by name."""
    return reply({"skills": [asdict(skill) for skill in request.app[SKILLS].list()]})
