"""Plugs one generation into the daemon: everything that it brings is there, or nothing is."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from prx.core.tool import CallContext, ToolResult
from prx.plugins.bound import Bound
from prx.plugins.feed import Feed
from prx.plugins.subscriptions import Subscriptions
from prx.plugins.worlds.binding import BoundTool, Guest
from prx.plugins.worlds.channel_adapter import PluginChannels
from prx.plugins.worlds.cron import PluginJob
from prx.plugins.worlds.hook import Hook
from prx.plugins.worlds.middleware import PluginMiddleware
from prx.plugins.worlds.provider import PluginProvider
from prx.plugins.worlds.storage import PluginStorage
from prx.runtime.cron import JobState
from prx.runtime.extension_points import ExtensionPoints


class PluginTool:
    """One function of one generation, as the router offers it; see `Tool`."""

    __slots__ = ("_binding", "_find_files", "_guest", "spec")

    def __init__(self, bound: BoundTool, guest: Guest) -> None:
        """Have `guest` run `bound`."""
        self.spec, self._binding, self._find_files = bound
        self._guest = guest

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """See `Tool.call`."""
        result = await self._guest.call(self._binding, arguments, context)
        if self._find_files is None or not result.success:
            return result
        return result._replace(files=[*self._find_files(result.output)])


class Offer:
    """What one plugin offers now; `withdraw` ends it."""

    def __init__(self, plugin: str, points: ExtensionPoints, feed: Feed) -> None:
        """Offer nothing yet; `feed` brings events to the plugin's hooks."""
        self._plugin = plugin
        self._points = points
        self._feed = feed
        self._offered = ExitStack()
        self.jobs: list[JobState] = []
        """Its cron jobs, as they ran and will run."""

    def make(self, bound: Bound, guest: Guest, subscriptions: Subscriptions | None) -> None:
        """Offer all of `bound`, run by `guest`.

        Raises:
            ConflictError: a name is taken; nothing is offered.
        """
        plugin, points = self._plugin, self._points
        source = f"plugin:{plugin}"
        with ExitStack() as offered:
            offered.enter_context(points.tools.offering([PluginTool(tool, guest) for tool in bound.tools]))
            if bound.provider is not None:
                name, functions = bound.provider
                provider = PluginProvider(name, guest, functions)
                offered.enter_context(points.providers.offering(name, provider, source))
            if bound.storage is not None:
                name, functions = bound.storage
                storage = PluginStorage(name, guest, functions)
                offered.enter_context(points.storages.offering(name, storage, source))
            if bound.channel is not None:
                channels = PluginChannels(plugin, guest, bound.channel)
                offered.enter_context(points.channels.offering(bound.channel.name, channels.connect, source))
            if bound.middleware is not None:
                middleware = PluginMiddleware(plugin, guest, bound.middleware, bound.priorities)
                offered.enter_context(points.middleware.offering(middleware))
            if bound.hook is not None and subscriptions is not None:
                hook = Hook(plugin, guest, bound.hook, subscriptions)
                offered.enter_context(points.tools.consulting(hook))
                offered.enter_context(self._feed.serving(hook))
            if bound.cron is not None:
                jobs = [PluginJob(plugin, guest, bound.cron, name, due) for name, due in bound.jobs.items()]
                self.jobs = offered.enter_context(points.cron.offering(jobs))
            self._offered = offered.pop_all()

    def hold_back(self, bound: Bound, reason: str) -> None:
        """Have calls to the tools of a plugin out of service told `reason`, rather than that there is no such tool."""
        withheld = self._points.tools.withholding(bound.tool_names(), f'plugin "{self._plugin}" {reason}')
        self._offered.enter_context(withheld)

    def withdraw(self) -> None:
        """Offer nothing any more."""
        self._offered.close()
        self.jobs = []
