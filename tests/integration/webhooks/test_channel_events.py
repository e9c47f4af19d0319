"""A hook hears of channels that connect and lose their connection, from a channel that does."""

from pathlib import Path

from prx.channels.manager import Channels
from prx.config.channels import ChannelConfig
from tests.integration.webhooks.conftest import Stage
from tests.integration.webhooks.receiver import receiving
from tests.support.channels import Heard, keeping
from tests.support.line_channel import TOKEN, connecting_to, line_platform


async def test_a_channel_that_connects_and_loses_its_connection_is_told(stage: Stage, tmp_path: Path) -> None:
    configured = {"lobby": ChannelConfig.model_validate({"type": "line", "token": TOKEN})}
    async with (
        line_platform() as platform,
        keeping(tmp_path, Heard()) as services,
        receiving() as receiver,
    ):
        await stage.register(receiver.url, "channel.connected", "channel.disconnected")
        adapters = {"line": connecting_to(platform)}
        channels = Channels(lambda: configured, stage.supervisor, stage.bus, services, adapters=adapters)
        try:
            await channels.reconfigured({})
            await receiver.has(1)
            platform.drop_all()
            await receiver.has(2)
            channels.restart("lobby")  # the operator does not wait for the pause
            received = await receiver.has(3)
        finally:
            await channels.aclose()
    assert [(event["event"], event["data"]) for event in received] == [
        ("channel.connected", {"channel": "lobby"}),
        ("channel.disconnected", {"channel": "lobby"}),
        ("channel.connected", {"channel": "lobby"}),
    ]
