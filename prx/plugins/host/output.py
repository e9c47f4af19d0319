"""What a guest says, as log lines of its plugin: through `prx:host/log`, stdout or stderr, at a bounded rate."""

from prx.runtime.foreign_output import ForeignOutput


class GuestOutput(ForeignOutput):
    """The log of one plugin."""

    def __init__(self, plugin: str) -> None:
        """Log as the module `plugin::<name>`."""
        super().__init__("the plugin", f"plugin::{plugin.replace('-', '_')}", plugin=plugin)

    def stdout(self, line: bytes) -> None:
        """Write a line that the guest printed."""
        self.write("info", line.decode("utf-8", "replace"))

    def stderr(self, line: bytes) -> None:
        """Write a line that the guest printed as an error."""
        if line.strip():
            self.write("warn", line.decode("utf-8", "replace"))
