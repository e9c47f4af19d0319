"""The keys of channels over MQTT."""

from typing import Literal, Self

from pydantic import model_validator

from prx.config.channels import PlatformConfig
from prx.config.types import AbsolutePath, Secret, hot


class MqttConfig(PlatformConfig):
    """MQTT: [channels/mqtt.md](channels/mqtt.md)."""

    host: str = hot("Host of the broker.", min_length=1)
    port: int = hot("Its port; 1883 is usual without TLS.", 8883, ge=1, le=65535)
    tls: bool = hot("Whether to speak TLS.", default=True)
    tls_ca: AbsolutePath | None = hot("PEM file with certificates to trust beside the system's.", None)
    user: str | None = hot("Account at the broker.", None, min_length=1)
    password: Secret | None = hot("Its password.", None)
    client_id: str | None = hot(
        "What the broker keeps messages under while the daemon is away; unset makes one of channel, user and topic.",
        None,
        pattern=r"^[0-9A-Za-z_-]{1,64}$",
    )
    topic_in: str = hot(
        "Topic that people write to; each `+` in it is who wrote.",
        "prx/in/+",
        pattern=r"^[^#\x00]+$",
        max_length=500,
    )
    topic_out: str = hot(
        "Topic that they are answered on; each `+` in it is whoever is answered.",
        "prx/out/+",
        pattern=r"^[^#\x00]+$",
        max_length=500,
    )
    payload: Literal["text", "json"] = hot(
        'What messages are: a text, or an object {"text", "id"}, of which `id` tells repetitions apart.',
        "text",
    )
    qos: int = hot(
        "Quality of service, both ways; with 0 what comes while the daemon is away is lost.", 1, ge=0, le=2
    )
    session_expiry_secs: int = hot(
        "Seconds for which the broker keeps messages for a daemon that is away.",
        604_800,
        ge=0,
        le=4_294_967_294,
    )
    protocol: Literal["5", "3.1.1"] = hot("Version of the protocol.", "5")

    @model_validator(mode="after")
    def _is_no_loop(self) -> Self:
        pairs = list(zip(self.topic_in.split("/"), self.topic_out.split("/"), strict=False))
        as_deep = self.topic_in.count("/") == self.topic_out.count("/")
        if as_deep and all(one == other or "+" in (one, other) for one, other in pairs):
            raise ValueError("topic_out: it is one that topic_in hears: the bot would answer itself")
        for name, topic in (("topic_in", self.topic_in), ("topic_out", self.topic_out)):
            if any("+" in level and level != "+" for level in topic.split("/")):
                raise ValueError(f"{name}: a + stands for a whole level, between slashes")
        if self.topic_in.split("/").count("+") != self.topic_out.split("/").count("+"):
            raise ValueError("topic_out: it needs as many + as topic_in, so that each is answered")
        return self
