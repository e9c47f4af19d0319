"""The servers that are compared: PRX with plugins, bare aiohttp, and the gateway of nanobot-ai."""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from benchmarks.processes import Program, Server, free_port
from benchmarks.report import ROOT
from prx.plugins.cache import Cache, cache_key
from prx.plugins.engine import engine_config
from prx.plugins.probe import with_probe
from tests.components.corpus import component, names

HEALTH = "/api/v1/status/health"
SAMPLES = ("check-digits", "notes", "text-tools")
# `nothing` exports nothing and is refused.
SPECIMENS = [name for name in names("specimens") if name != "nothing"]
_COMPILED_SECS = 300.0
_LOOK_SECS = 0.2
_ASK_SECS = 30.0


class PrxHome:
    """A directory with a configuration, plugins and a data directory, for one daemon at a time."""

    def __init__(self, home: Path, settings: Mapping[str, Any] | None = None) -> None:
        """Make it at `home`; `settings` are dotted keys of the configuration, set by environment variables."""
        self.plugins = home / "plugins"
        self.plugins.mkdir(parents=True)
        self.cache = home / "data" / "cache"
        self._installed: set[str] = set()
        self._prefixes: list[str] = []
        self._token: str | None = None
        keys = {
            "gateway.port": free_port(),
            "gateway.rate_limits.other": 0,
            "daemon.data_dir": home / "data",
            "plugins.directory": self.plugins,
            **(settings or {}),
        }
        self._config = home / "prx.toml"
        self.program = Program(
            command=(str(Path(sys.executable).with_name("prx")), "daemon"),
            environment=_environment(home) | {_variable(key): str(value) for key, value in keys.items()},
            home=home,
            port=int(keys["gateway.port"]),
            health=HEALTH,
        )

    def add_samples(self) -> list[str]:
        """Link the sample plugins that are built; return their names."""
        built = [name for name in SAMPLES if (ROOT / "plugins" / name / "plugin.wasm").is_file()]
        for name in built:
            _copy(ROOT / "plugins" / name, self.plugins / name)
        self._installed.update(built)
        return built

    def add_specimens(self, count: int) -> None:
        """Add `count` components of the corpus, each with bytes of its own so that none shares compiled code."""
        chosen = {f"{name}-{number}": name for number, name in zip(range(count), cycle(SPECIMENS))}
        self.add_components(
            {plugin: component(name) + custom_section(plugin) for plugin, name in chosen.items()}
        )

    def add_components(self, components: Mapping[str, bytes]) -> None:
        """Add bare components by plugin name; the names of their tools begin with it, so that none clash."""
        for name, content in components.items():
            (self.plugins / f"{name}.wasm").write_bytes(content)
        self._name_apart(components)

    def add_directories(self, components: Mapping[str, bytes], more: str = "") -> None:
        """Add components with a manifest each, `more` being what stands in it; their tools are named as above."""
        for name, content in components.items():
            directory = self.plugins / name
            directory.mkdir()
            (directory / "plugin.wasm").write_bytes(content)
            manifest = f'[plugin]\nname = "{name}"\nversion = "1.0.0"\n{more}'
            (directory / "plugin.toml").write_text(manifest, encoding="utf-8")
        self._name_apart(components)

    def _name_apart(self, plugins: Iterable[str]) -> None:
        self._installed.update(plugins)
        self._prefixes += [
            f'[plugins.settings.{name}]\ntool_prefix = "{name.replace("-", "_")}_"\n' for name in plugins
        ]
        self._config.write_text("\n".join(self._prefixes), encoding="utf-8")

    def compile_all(self) -> None:
        """Start the daemon until every plugin is loaded, so that later starts find compiled code.

        Raises:
            RuntimeError: one does not load.
        """
        with self.program.start() as server:
            server.secs_to_healthy()
            self.wait_until_compiled(server)
            failed = sorted(name for name, status in self.statuses().items() if status != "loaded")
            if failed:
                raise RuntimeError(f"not loaded: {', '.join(failed)}; the log:\n{server.log[-2000:]}")

    def wait_until_compiled(self, server: Server) -> None:
        """Wait until every plugin of the running daemon is loaded or refused.

        Raises:
            RuntimeError: one was not, within minutes.
        """
        deadline = time.monotonic() + _COMPILED_SECS
        while (listed := self.statuses()).keys() != self._installed or "loading" in listed.values():
            if time.monotonic() > deadline:
                raise RuntimeError(f"still not compiled: {listed}; the log:\n{server.log[-2000:]}")
            time.sleep(_LOOK_SECS)

    def token(self) -> str:
        """Make a token for this daemon, as an operator does."""
        command = [self.program.command[0], "auth", "token"]
        made = subprocess.run(
            command,
            cwd=self.program.home,
            env=dict(self.program.environment),
            capture_output=True,
            check=True,
            text=True,
        )
        return made.stdout.strip()

    def statuses(self) -> dict[str, str]:
        """Return what the running daemon lists as each plugin's status."""
        return {plugin["name"]: plugin["status"] for plugin in self.ask("plugins")["plugins"]}

    def call_every_tool(self) -> None:
        """Call each tool of the running daemon once; what it makes of its arguments does not matter."""
        for tool in self.ask("tools")["tools"]:
            properties = tool["parameters"].get("properties", {})
            required = tool["parameters"].get("required", ())
            arguments = {name: properties[name].get("enum", ["a word"])[0] for name in required}
            self.ask(f"tools/{tool['name']}/call", {"arguments": arguments})

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer of the running daemon to a request for `path`, a POST where there is a `body`."""
        if self._token is None:
            self._token = self.token()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.program.port}/api/v1/{path}"
        request = urllib.request.Request(address, content, headers)
        with urllib.request.urlopen(request, timeout=_ASK_SECS) as answer:  # noqa: S310  # http on purpose
            found: dict[str, Any] = json.load(answer)
            return found

    def compiled(self) -> dict[str, int]:
        """Return every file of compiled code with its inode: a compiler replaces files, it never rewrites them."""
        return {path.name: path.stat().st_ino for path in self.cache.glob("*.cwasm")}


def home_of_many(home: Path, number: int, settings: Mapping[str, Any] | None = None) -> PrxHome:
    """Return a home with `number` small plugins, all compiled by the engine's own words into its cache."""
    made = PrxHome(home, settings)
    contents = {
        f"plugin-{each}": component("tool-echo") + custom_section(f"plugin-{each}") for each in range(number)
    }
    names = list(contents)
    made.add_components({name: contents[name] for name in names[::2]})
    made.add_directories({name: contents[name] for name in names[1::2]})
    cache, engine = Cache(made.cache), Engine(engine_config(fuel=False))
    for content in contents.values():
        compiled = cache.new_file()
        compiled.write_bytes(wasm.Component(engine, with_probe(content)).serialize())
        cache.store(cache_key(hashlib.sha256(content).hexdigest(), fuel=False), compiled)
    before = made.compiled()
    made.compile_all()
    assert made.compiled() == before, "the daemon compiled again"
    return made


def bare_aiohttp(home: Path) -> Program:
    """Return the floor: one route, no plugins."""
    home.mkdir(parents=True)
    port = free_port()
    return script("bare_aiohttp.py", (str(port),), home, port)


def script(
    name: str, arguments: tuple[str, ...], home: Path, port: int, *, python: Path = Path(sys.executable)
) -> Program:
    """Return a server that is a script beside this file; it runs in `home` and listens on `port`."""
    # -P: what lies beside the script are no modules of its own.
    command = (str(python), "-P", str(Path(__file__).with_name(name)), *arguments)
    return foreign(command, home, port, "/health")


def foreign(command: tuple[str, ...], home: Path, port: int, health: str) -> Program:
    """Return a server that is `command`; it runs in `home` and listens on `port`."""
    return Program(command, _environment(home), home, port, health)


def nanobot(home: Path, scratch: Path) -> Program:
    """Return the gateway of nanobot-ai, installed into `scratch` if it is not there.

    It needs no key and no network to start: without a provider it serves its health and its browser channel.
    """
    program = scratch / "nanobot" / "bin" / "nanobot"
    if not program.exists():
        venv.create(scratch / "nanobot", with_pip=True)
        subprocess.run([program.with_name("python"), "-m", "pip", "install", "-q", "nanobot-ai"], check=True)
    port = free_port()
    configuration = home / ".nanobot" / "config.json"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        json.dumps({"channels": {"websocket": {"enabled": True, "port": free_port()}}}), encoding="utf-8"
    )
    command = (str(program), "gateway", "--foreground", "--port", str(port))
    made = Program(command, _environment(home), home, port, "/health")
    with Server(made) as first:  # it makes its workspace at the first start
        first.secs_to_healthy()
    return made


def nanobot_version(scratch: Path) -> str:
    """Return the version of the installed gateway."""
    python = scratch / "nanobot" / "bin" / "python"
    ask = "from importlib.metadata import version; print(version('nanobot-ai'))"
    return subprocess.run([python, "-c", ask], capture_output=True, check=True, text=True).stdout.strip()


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ("plugin.toml", "plugin.wasm"):
        (target / name).write_bytes((source / name).read_bytes())


def custom_section(text: str) -> bytes:
    """Return a section that engines skip; it only makes a component's bytes differ from another's."""
    name = text.encode()
    return bytes([0, len(name) + 1, len(name)]) + name


def _environment(home: Path) -> dict[str, str]:
    # Another checkout's benchmarks run on its own code.
    own = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return {"PATH": os.environ["PATH"], "HOME": str(home), **own}


def _variable(key: str) -> str:
    return "PRX__" + key.replace(".", "__").upper()
