"""MQTT, by way of aiomqtt."""

from prx.channels.adapters.mqtt.adapter import MqttAdapter
from prx.config.platforms.mqtt import MqttConfig


def connect(name: str, config: MqttConfig) -> MqttAdapter:
    """Make the adapter of a channel, for one life."""
    return MqttAdapter(name, config)
