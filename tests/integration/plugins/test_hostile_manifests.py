"""Every hostile manifest is refused with the words that it names, and a plugin beside them all serves."""

from tests.components.corpus import component, hostile_manifests
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually


async def test_every_hostile_manifest_is_refused_for_its_reason_and_disturbs_nobody(host: PluginHost) -> None:
    manifests = hostile_manifests()
    host.drop("echo")
    for name, (text, _) in manifests.items():
        host.settle(name, tool_prefix=f"{name[:20].replace('-', '_')}_")
        host.drop(name, component("adder"), manifest=text)

    def settled() -> bool:
        return len(host.names()) == len(manifests) + 1 and not any(
            plugin.loading for plugin in host.catalogue.list()
        )

    async with host.running():
        await eventually(settled)
        found = {plugin.source.path.name: plugin for plugin in host.catalogue.list()}
        wrong = {
            name: (found[name].status, found[name].error)
            for name, (_, words) in manifests.items()
            if found[name].status != "error" or words not in (found[name].error or "")
        }
        assert wrong == {}
        assert [spec.name for spec in host.router.specs()] == ["echo"]
        assert await host.output("echo", {"text": "served"}) == "served"
