"""Messages that programs post to the daemon, signed; answers come in the response or are posted back."""

from prx.channels.adapters.webhook.adapter import WebhookAdapter
from prx.config.platforms.webhook import WebhookConfig


def connect(name: str, config: WebhookConfig) -> WebhookAdapter:
    """Make the adapter of the channel of this name, for one life."""
    return WebhookAdapter(name, config)
