"""Which of a configuration's values are secrets."""

from prx.config.schema import Config
from prx.config.secret_values import secret_values


def test_secrets_are_found_by_type_and_by_name_wherever_they_are() -> None:
    config = Config.model_validate(
        {
            "provider": {"api_key": "a", "model": "not a secret"},
            "mcp": {
                "servers": {
                    "x": {"url": "http://h", "headers": {"Authorization": "Bearer b"}, "env": {"V": "c"}}
                }
            },
            "channels_config": {"pigeon": {"bot_token": "d", "chat": {"password": "e", "room": "f"}}},
            "hooks": {"endpoints": [{"url": "http://h", "secret": "whsec_Z2dn"}]},
            "plugins": {"settings": {"weather": {"config": {"api_key": "h", "units": "metric"}}}},
        }
    )
    assert sorted(secret_values(config)) == ["Bearer b", "a", "b", "c", "d", "e", "h", "whsec_Z2dn"]
    assert list(secret_values(Config())) == []
