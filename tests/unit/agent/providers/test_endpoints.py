"""What a provider is asked with, by what the configuration and the environment say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.agent.providers.endpoints import Endpoint, Link, chain_of, endpoint_of, is_configured, keys_of
from prx.agent.providers.known import KNOWN
from prx.config.schema import Config, MemoryConfig, ProviderConfig
from prx.core.provider import ProviderConfigurationError

VARIABLES = [variable for known in KNOWN.values() for variable in known.variables]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key but those that a test sets."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def configured(**keys: Any) -> ProviderConfig:
    return ProviderConfig.model_validate({"model": "m", **keys})


def endpoint(name: str = "it", /, **keys: Any) -> Endpoint:
    return endpoint_of(configured(name=name, **keys), Link(name, "m"))


def refusal(name: str, /, **keys: Any) -> str:
    with pytest.raises(ProviderConfigurationError) as caught:
        endpoint(name, **keys)
    return caught.value.message


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_provider_needs_a_key_from_its_variable_or_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KNOWN[name]
    keys = {} if known.url else {"base_url": "https://mine.example.com/openai/v1"}
    if known.variables:
        said = refusal(name, **keys)
        assert "set provider.api_key" in said
        monkeypatch.setenv(known.variables[-1], "from-the-environment")
    found = endpoint(name, **keys)
    assert found.url == (known.url or keys["base_url"])
    assert found.key == ("from-the-environment" if known.variables else None)
    assert found.protocol == known.protocol


def test_the_configured_key_goes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
    assert endpoint("anthropic", api_key="configured").key == "configured"
    assert endpoint("anthropic").key == "from-the-environment"


def test_the_environments_key_is_sent_nowhere_but_to_its_own_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    assert endpoint("openai", base_url="https://api.openai.com/v1/").key == "from-the-environment"
    assert endpoint("openai", base_url="https://elsewhere.example.com/v1").key is None
    assert endpoint("house", base_url="https://elsewhere.example.com/v1").key is None


def test_openai_elsewhere_speaks_what_compatible_servers_understand() -> None:
    assert endpoint("openai", api_key="k").protocol == "responses"
    elsewhere = endpoint("openai", base_url="http://127.0.0.1:8000/v1")
    assert (elsewhere.protocol, elsewhere.known_as) == ("chat", None)
    kept = endpoint("openai-responses", base_url="http://127.0.0.1:8000/v1")
    assert kept.protocol == "responses"


def test_any_name_with_an_address_is_compatible_with_openai() -> None:
    found = endpoint("house", base_url="https://llm.example.com/v1")
    assert (found.protocol, found.known_as, found.table) == ("chat", None, "provider")


def test_a_table_of_its_own_says_what_a_provider_is() -> None:
    others = {"basement": {"type": "ollama", "base_url": "http://10.0.0.2:11434/v1", "api_key": "k"}}
    found = endpoint_of(configured(name="anthropic", others=others), Link("basement", "qwen"))
    assert found == Endpoint(
        "basement", "provider.others.basement", "chat", "http://10.0.0.2:11434/v1", "k", "ollama"
    )
    chosen = endpoint("basement", others=others, api_key="over")
    assert (chosen.key, chosen.url) == ("over", found.url)


def test_the_address_of_the_first_provider_is_not_the_others() -> None:
    config = configured(name="house", base_url="http://127.0.0.1:1/v1", fallback=["ollama/x"])
    assert endpoint_of(config, Link("ollama", "x")).url == KNOWN["ollama"].url


@pytest.mark.parametrize("key", ["two words", "zero\x00", "new\nline", "naïve"])
def test_what_cannot_be_a_key_is_told_before_it_is_sent(key: str) -> None:
    said = refusal("anthropic", api_key=key)
    assert "is none" in said
    assert key not in said


@pytest.mark.parametrize(
    "url", ["example.com/v1", "ftp://host/", "https://", "http://[::1", "http://h:0/", "http://h:99999/"]
)
def test_what_is_no_address_is_told_without_repeating_it(url: str) -> None:
    assert refusal("house", base_url=url) == (
        "provider.base_url is no address: set it to one such as https://host/v1"
    )


def test_an_address_is_shown_without_its_secrets() -> None:
    found = endpoint(
        "house", base_url="https://me:hunter2@llm.example.com:8443/v1?key=hunter2", api_key="hunter2"
    )
    assert found.host == "llm.example.com:8443"
    assert "hunter2" not in repr(found)


def test_an_unknown_name_says_what_there_is() -> None:
    said = refusal("antropic")
    assert 'perhaps "anthropic" is meant' in said
    assert "openrouter" in said
    assert "builtin" in said


@pytest.mark.parametrize("model", ["builtin", None])
def test_a_provider_without_a_model_says_where_to_write_one(model: str | None) -> None:
    config = configured(name="ollama", model=model or "m", fallback=["vllm"])
    link = Link("ollama" if model else "vllm", model)
    with pytest.raises(ProviderConfigurationError, match="needs a model"):
        endpoint_of(config, link)


def test_whoever_is_not_configured_may_be_a_plugins() -> None:
    config = configured(name="builtin", base_url="http://127.0.0.1:1/v1", others={"house": {"type": "vllm"}})
    assert [name for name in ("builtin", "parrot", "house", "ollama") if is_configured(config, name)] == [
        "house",
        "ollama",
    ]


def test_the_chain_is_each_provider_once_and_models_may_have_slashes() -> None:
    config = configured(
        name="a", fallback=["openrouter/anthropic/claude", "b", "a/m", "openrouter/anthropic/claude"]
    )
    assert chain_of(config) == [Link("a", "m"), Link("openrouter", "anthropic/claude"), Link("b", None)]


def test_keys_of_the_environment_are_known_to_whoever_hides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "one")
    monkeypatch.setenv("OPENAI_API_KEY", "two")
    monkeypatch.setenv("GROQ_API_KEY", "three")
    monkeypatch.setenv("XAI_API_KEY", "of nobody here")
    monkeypatch.setenv("MISTRAL_API_KEY", "vectors")
    provider = configured(name="anthropic", fallback=["openai/m"], others={"quick": {"type": "groq"}})
    config = Config(provider=provider, memory=MemoryConfig(embedding_model="mistral/mistral-embed"))
    assert sorted(keys_of(config)) == ["one", "three", "two", "vectors"]


@given(st.text(min_size=1), st.text() | st.none(), st.lists(st.text(), max_size=4))
def test_whatever_is_configured_is_an_endpoint_or_a_refusal_with_words(
    name: str, url: str | None, fallback: list[str]
) -> None:
    config = configured(name=name, base_url=url, fallback=fallback)
    for link in chain_of(config):
        said = None
        try:
            said = endpoint_of(config, link).host
        except ProviderConfigurationError as error:
            said = error.message
        assert said
