"""One installed plugin: its row in the list, what it offers now, and what it offered before."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from prx.config.schema import PluginsConfig
from prx.core.errors import ConflictError
from prx.core.ids import iso_utc, now_utc
from prx.core.unit import Problem
from prx.plugins.asked import Asked
from prx.plugins.feed import Feed
from prx.plugins.kept import Rollback
from prx.plugins.loader import Loaded
from prx.plugins.manifest import Manifest
from prx.plugins.meter import Meter
from prx.plugins.offer import Offer
from prx.plugins.plugin_view import job_shown, limits_shown, signature_shown, totals_shown
from prx.plugins.quarantine import Gated, Quarantine
from prx.plugins.settings import Decision, missing_permissions, settings_for
from prx.plugins.signing import Signature
from prx.plugins.sources import Contents, Source

PluginStatus = Literal["loaded", "disabled", "loading", "error", "quarantined"]


class Plugin:
    """The live state of one plugin. Only the catalogue changes it, one change at a time under `changing`."""

    def __init__(
        self,
        name: str,
        source: Source,
        offer: Offer,
        feed: Feed,
        gate: Quarantine,
        progress: asyncio.Event,
        *,
        disabled: bool,
    ) -> None:
        """Start without a generation: nothing was loaded yet. `progress` is set when a load begins to compile."""
        self.gate = gate
        self.name = name
        self.source = source
        self.changing = asyncio.Lock()
        self.disabled = disabled
        self.rivals: tuple[Path, ...] = ()
        """What else in the directory has this name."""
        self.loading = False
        self.compiling = False
        self.loaded: Loaded | None = None
        self.meter = Meter()
        """What all its generations used since the daemon started."""
        self.number = 0
        """Of the generation that runs; 0 before one did."""
        self.rolled_back: Rollback | None = None
        """Why it does not run what its directory holds."""
        self.not_kept: str | None = None
        """Why there would be no step back to the version that runs."""
        self._offer = offer
        self._feed = feed
        self._progress = progress
        self._contents: Contents | None = None
        self.asked: Asked | None = None
        """What its newest files ask for; `None` before they could be read."""
        self._fault: str | None = None
        self._suspended: str | None = None
        self._untrusted: str | None = None
        self.waits_for_grant = False
        """Whether the newest version did not load for want of a permission."""
        self.waits_for_name = False
        """Whether the newest version did not load because a tool's name is taken."""
        self._changed_at = self._loaded_at = now_utc()

    @property
    def doubled(self) -> bool:
        """Whether two sources have this name."""
        return bool(self.rivals)

    @property
    def status(self) -> PluginStatus:
        """A plugin stays `loaded` while a newer version compiles or when one did not load."""
        if self.disabled:
            return "disabled"
        if self._suspended is not None:
            return "error"
        if self.loaded is not None:
            return "quarantined" if self.gate.sentence is not None else "loaded"
        return "loading" if self.loading else "error"

    @property
    def error(self) -> str | None:
        """Why it is not running, or why its newest version is not."""
        if self.disabled or self.status == "loading":
            return None
        if self._suspended is None and self.gate.sentence is not None:
            return f"in quarantine until {iso_utc(self.gate.sentence.until)}: {self.gate.sentence.reason}"
        back = self.rolled_back
        return (
            self._suspended or self._fault or (back.reason if back is not None and back.automatic else None)
        )

    @property
    def fault(self) -> str | None:
        """Why its newest version did not load, whatever runs instead."""
        return self._fault

    @property
    def version(self) -> str:
        """Its version, `0.0.0` for a bare file or while its manifest cannot be read."""
        if self.loaded is not None:
            return self.loaded.contents.version
        return self._contents.version if self._contents is not None else "0.0.0"

    @property
    def found(self) -> str | None:
        """What identifies its newest files; `None` before they could be read."""
        return self._contents.identity if self._contents is not None else None

    @property
    def manifest(self) -> Manifest | None:
        """What its newest files ask for; `None` for a bare file or before they could be read."""
        return self._contents.manifest if self._contents is not None else None

    @property
    def capabilities(self) -> list[str]:
        """What it brings, as `<world>:<name>`."""
        return self.loaded.capabilities() if self.loaded is not None else []

    def memory_usage_bytes(self) -> int:
        """Return the linear memory of its live instances; 0 when there is none."""
        return self.loaded.generation.memory_bytes() if self.loaded is not None else 0

    def instances(self) -> int:
        """Return how many instances of it there are."""
        return self.loaded.generation.instances() if self.loaded is not None else 0

    def detail(self) -> dict[str, Any]:
        """Return what `GET /plugins/:name` shows beside the summary."""
        shared: dict[str, Any] = {"path": str(self.source.path), "generation": self.number}
        if self.rolled_back is not None:
            shared["rolled_back"] = {
                "from": self.rolled_back.left,
                "to": self.rolled_back.goal,
                "reason": self.rolled_back.reason,
                "at": iso_utc(self.rolled_back.at),
            }
        if self.loaded is None:
            return shared
        generation, contents, settings = self.loaded.generation, self.loaded.contents, self.loaded.settings
        last, signature = generation.meter.last_error, self.loaded.signature
        return shared | {
            "digest": f"sha256:{contents.digest}",
            "signature": signature_shown(signature),
            "loaded_at": iso_utc(self._loaded_at),
            "manifest": contents.manifest.model_dump(exclude_defaults=True, exclude={"config"})
            if contents.manifest is not None
            else None,
            "grants": sorted(generation.owner.permissions),
            "limits": limits_shown(settings.limits),
            "calls": totals_shown(generation.meter.totals()),
            "totals": totals_shown(self.meter.totals()),
            "last_error": None if last is None else asdict(last),
            "warnings": self.loaded.warnings(),
            "skipped": self.loaded.skipped,
            "cron": [job_shown(job, state) for state in self._offer.jobs if (job := state.job) is not None],
            "events": {
                "delivered": self._feed.delivered,
                "failed": self._feed.failed,
                "dropped": self._feed.dropped,
                "queued": self._feed.queued,
            },
        }

    def problems(self) -> list[Problem]:
        """Return why the daemon is degraded because of this plugin."""
        found = []
        if self.error is not None:
            found.append((self.error, self._action()))
        if self.not_kept is not None:
            found.append((self.not_kept, f"free some disk space, then `prx plugin reload {self.name}`"))
        sentence = self.gate.sentence if self.status == "quarantined" else None
        since = self._changed_at if sentence is None else sentence.since
        return [Problem(f"plugin.{self.name}", reason, since, action) for reason, action in found]

    def read(self, contents: Contents, asked: Asked) -> None:
        """Note what its files say and ask for."""
        self._contents = contents
        self.asked = asked

    def compiles(self) -> None:
        """Note that it will take a while; see `Progress`."""
        self.compiling = True
        self._progress.set()

    def failed(self, reason: str, *, waits_for_grant: bool = False, waits_for_name: bool = False) -> None:
        """Keep what runs, if anything, and say why the newest version does not."""
        self._fault = reason
        self.waits_for_grant = waits_for_grant
        self.waits_for_name = waits_for_name
        self._changed_at = now_utc()

    def replace(self, loaded: Loaded, gate: Quarantine) -> Loaded | None:
        """Offer `loaded` behind `gate` in place of what was offered, in one step; return what was.

        Raises:
            ConflictError: a tool's name is taken; what was offered still is.
        """
        previous, previous_gate = self.loaded, self.gate
        self._offer.withdraw()
        self.gate = gate
        try:
            if not self.disabled:
                self._make_offer(loaded)
        except ConflictError:
            self.gate = previous_gate
            if previous is not None:
                self._make_offer(previous)
            raise
        self.loaded = loaded
        loaded.generation.meter.count_into(self.meter)
        self._fault = self._suspended = self._untrusted = None
        self.waits_for_grant = self.waits_for_name = False
        self._changed_at = self._loaded_at = now_utc()
        self._hold_back()
        return previous

    def vouch(self, signature: Signature | None, refusal: str | None) -> None:
        """Note who vouches for what runs, or the `refusal` of it where nobody does that has to; `regrant` obeys."""
        if self.loaded is not None:
            self.loaded = replace(self.loaded, signature=signature)
            self._untrusted = refusal

    def regrant(self, config: PluginsConfig, decisions: Mapping[str, Decision]) -> None:
        """Obey new grants from the next call on; out of service while a required one is missing, or trust in it.

        So it does where it may serve again, but a name was taken meanwhile.
        """
        if self.loaded is None:
            return
        loaded = self.loaded
        settings = settings_for(self.name, loaded.contents.manifest, loaded.asked, config, decisions)
        loaded.generation.obey(settings)
        missing = missing_permissions(self.name, settings) if settings.missing else None
        self._suspended = self._untrusted or missing
        self._changed_at = now_utc()
        self._offer.withdraw()
        if not self.disabled and self._suspended is None:
            try:
                self._make_offer(loaded)
            except ConflictError as error:
                self._suspended = error.message
                self.waits_for_name = True
        self._hold_back()

    def disable(self) -> None:
        """Withdraw what it offers and keep everything else."""
        self.disabled = True
        self._offer.withdraw()
        self._hold_back()

    def enable(self) -> None:
        """Offer what it brings again.

        Raises:
            ConflictError: a tool's name was taken meanwhile; it stays disabled.
        """
        self._offer.withdraw()
        try:
            if self.loaded is not None and self._suspended is None:
                self._make_offer(self.loaded)
        except ConflictError:
            self._hold_back()
            raise
        self.disabled = False
        self._hold_back()

    def remove(self) -> Loaded | None:
        """Withdraw everything; return what ran, to be closed."""
        self._offer.withdraw()
        loaded, self.loaded = self.loaded, None
        return loaded

    def _action(self) -> str:
        """Say what to do about `error`."""
        if self.status == "quarantined":
            return f"see its last error; `prx plugin release {self.name}` ends the quarantine"
        if self._untrusted is not None:
            return "add a key that signed it to plugins.trusted_keys, have it signed, or remove it"
        if self.doubled:
            return "remove or rename one of the two"
        if self.waits_for_name:
            return "remove one of the two, or give the tools of one a prefix"
        if self._suspended is not None or self.waits_for_grant:
            return "grant what it requires, or remove it"
        if self._fault is None:
            return f"mend and replace the file, or load it again with `prx plugin reload {self.name}`"
        return "mend the file: it is loaded again by itself"

    def _make_offer(self, loaded: Loaded) -> None:
        guest = Gated(loaded.generation, self.gate)
        self._offer.make(loaded.bound, guest, loaded.generation.owner.subscriptions)

    def _hold_back(self) -> None:
        reason = self._suspended
        if self.disabled:
            enable = f"POST /api/v1/plugins/{self.name}/enable"
            reason = f"is disabled; {enable} puts it back into service"
        if reason is not None and self.loaded is not None:
            self._offer.hold_back(self.loaded.bound, reason)
