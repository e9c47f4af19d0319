"""The agent: what answers messages, joined from its parts."""

from prx.agent.agent import Agent
from prx.agent.prompt import Prompts
from prx.agent.providers.builtin import BuiltinProvider
from prx.agent.providers.chain import Providers
from prx.agent.recollection import Recollection
from prx.agent.sampling import Sampling
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.agent.turn import Turns
from prx.config.live import LiveConfig
from prx.config.schema import Config
from prx.core.ids import now_utc
from prx.core.outbox import Outbox
from prx.daemon.life import Life
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store


def open_providers(live: LiveConfig, points: ExtensionPoints, skills: Skills, life: Life) -> Providers:
    """Join the language models of the configuration, of plugins and of PRX itself; `life` ends them."""
    builtin = BuiltinProvider(skills.triggered_by, skills.list)
    life.hold(points.providers.offering(builtin.name, builtin, "PRX itself"))
    providers = Providers(lambda: live.current.provider, points.providers)
    life.at_end("providers", providers.aclose)
    return providers


async def open_sampling(
    live: LiveConfig, points: ExtensionPoints, store: Store, providers: Providers, agent: Agent
) -> Sampling:
    """Have the language model answer those who may ask it besides the agent, within its budgets.

    Raises:
        UnavailableError: the store cannot be read.
    """
    return await Sampling.open(
        providers, agent.budgets, points.middleware, store, lambda: live.current.provider, now_utc
    )


async def open_agent(  # noqa: PLR0913, PLR0917  # what it is joined from
    live: LiveConfig,
    points: ExtensionPoints,
    store: Store,
    sessions: Sessions,
    recollection: Recollection,
    skills: Skills,
    providers: Providers,
    outbox: Outbox,
    life: Life,
) -> Agent:
    """Join what answers messages; `life` ends it.

    Raises:
        UnavailableError: the store cannot be used.
    """

    def config() -> Config:
        return live.current

    turns = Turns(config, points, Prompts(config, recollection, skills), providers)
    agent = await Agent.open(store, sessions, turns, points.bus, outbox, config)
    life.at_end("agent", agent.aclose)
    return agent
