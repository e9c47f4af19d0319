"""What PRX answers as an MCP server, in terms of the SDK: tools, and the news that they changed."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from anyio import BrokenResourceError, ClosedResourceError
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    LoggingMessageNotification,
    NotificationParams,
    PaginatedRequestParams,
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    SubscriptionsListenRequestParams,
    ToolListChangedNotification,
)

from prx import __version__
from prx.core.tool import ToolSpec
from prx.core.upstream import Ask, Progress
from prx.mcp.server.calls import Calls, UnknownToolError
from prx.mcp.server.context import Context, exchange_of
from prx.mcp.server.events import SESSION
from prx.mcp.server.news import (
    LOGGED,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TOOLS_CHANGED,
)
from prx.mcp.server.passed_on import Listen, PassedOn
from prx.mcp.server.passing import Passing
from prx.mcp.server.questions import askable
from prx.mcp.server.rounds import Rounds
from prx.mcp.server.sessions import Send
from prx.mcp.server.stopping import Stopping
from prx.runtime.tools import ToolRouter

_INSTRUCTIONS: Final = (
    "The tools of a PRX daemon: WebAssembly plugins, each with its own limits and permissions, and the tools of the "
    "MCP servers that the daemon is connected to. The list changes as plugins come and go."
)
_MAX_SUBSCRIPTIONS: Final = 512
_MAX_BUFFERED_EVENTS: Final = 16
_TOLD: Final[Mapping[str, Any]] = {
    TOOLS_CHANGED: ToolListChangedNotification,
    PROMPTS_CHANGED: PromptListChangedNotification,
    RESOURCES_CHANGED: ResourceListChangedNotification,
    RESOURCE_UPDATED: ResourceUpdatedNotification,
    LOGGED: LoggingMessageNotification,
}


class PrxServer(Server[Any]):
    """Serves the router's tools, and what MCP servers have beside theirs; one for the whole daemon."""

    def __init__(self, router: ToolRouter, calls: Calls, passing: Passing | None, stopping: Stopping) -> None:
        """Announce and serve what `router` and `passing` have, until `stopping` gives up what waits."""
        self.bus = InMemorySubscriptionBus()
        self.listening = ListenHandler(
            self.bus, max_subscriptions=_MAX_SUBSCRIPTIONS, max_buffered_events=_MAX_BUFFERED_EVENTS
        )
        self.rounds = Rounds()
        self._router = router
        self._calls = calls
        super().__init__(
            "prx",
            version=__version__,
            title="PRX",
            instructions=_INSTRUCTIONS,
            # Without it each call of the newest version lists all tools first.
            get_tool_input_schema=self._input_schema,
        )
        # Not as arguments: those are to return models, which cost more than the JSON that is there already.
        self.add_request_handler("tools/list", PaginatedRequestParams, self._list_tools)
        self.add_request_handler("tools/call", CallToolRequestParams, self._call_tool)
        self.add_notification_handler("notifications/initialized", NotificationParams, self._initialized)
        listen: Listen = self.listening
        if passing is not None:
            passed_on = PassedOn(passing, self.rounds, stopping)
            passed_on.add_to(self)
            listen = passed_on.holding(listen)
        self.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, listen)
        # Spans for an exporter that the daemon does not have.
        self.middleware.clear()

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """See `Server`; the SDK's session manager would declare that lists never change."""
        changing = notification_options or NotificationOptions(
            tools_changed=True, prompts_changed=True, resources_changed=True
        )
        return super().create_initialization_options(changing, experimental_capabilities, extensions)

    async def _list_tools(self, context: Context, _params: PaginatedRequestParams) -> dict[str, Any]:
        specs = self._router.specs() if exchange_of(context).caller.may_list else []
        # Another token may see another list.
        return {
            "resultType": "complete",
            "tools": [listed(spec) for spec in specs],
            "ttlMs": 0,
            "cacheScope": "private",
        }

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> dict[str, Any]:
        asked = exchange_of(context)

        async def call(ask: Ask, progress: Progress | None) -> dict[str, Any]:
            if asked.call is None:
                return await self._calls.run(asked.caller, params.name, params.arguments or {}, progress, ask)
            running, asked.call = asked.call, None
            if asked.asking is not None:
                asked.asking.open(ask)
            return await running

        try:
            return await self.rounds.run(context, call)
        except UnknownToolError as error:
            raise MCPError(INVALID_PARAMS, error.message) from None

    async def _initialized(self, context: Context, _params: NotificationParams) -> None:
        session = SESSION.get()
        if session is not None:
            askable_for = askable(context.session.client_capabilities)
            session.ready(context.protocol_version, _sender(context.session), askable_for)

    def _input_schema(self, name: str) -> dict[str, Any] | None:
        spec = self._calls.spec(name)
        return None if spec is None else dict(spec.parameters)


def listed(spec: ToolSpec) -> dict[str, Any]:
    """Return a tool as `tools/list` shows it."""
    return {
        **spec.extras,
        "name": spec.name,
        "description": spec.description,
        # MCP's arguments are objects, also where a plugin's schema does not say so.
        "inputSchema": {"type": "object"} | dict(spec.parameters),
    }


def _sender(session: ServerSession) -> Send:
    async def send(method: str, params: Mapping[str, Any]) -> None:
        told = _TOLD[method].model_validate({"method": method, "params": dict(params)}, by_name=False)
        with suppress(ClosedResourceError, BrokenResourceError):  # the client has gone
            await session.send_notification(told)

    return send
