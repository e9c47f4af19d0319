"""An MCP server of the older era over stdio, without any SDK, that behaves as its arguments and its tools' names say.

Standard library only, so that it starts in a few milliseconds. `python scripted.py [BEHAVIOUR ...]`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEHAVIOUR = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
OUT = sys.stdout.buffer
CANCELLED: list[Any] = []
VERSIONS: list[str] = []
"""Of the list of tools, of which the last one counts."""
TOOLS: dict[str, Callable[[dict[str, Any]], Any]] = {}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NOTICE = b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}'

Tool = Callable[[dict[str, Any]], Any]


def say(raw: bytes) -> None:
    OUT.write(raw + b"\n")
    OUT.flush()


def send(message: dict[str, Any]) -> None:
    say(json.dumps({"jsonrpc": "2.0", **message}).encode())


def text(content: object, **more: object) -> dict[str, Any]:
    said = content if isinstance(content, str) else json.dumps(content)
    return {"content": [{"type": "text", "text": said}], **more}


def tool(function: Tool) -> Tool:
    """Offer a function of the whole message; what it returns is the result, None is no answer."""
    TOOLS[function.__name__] = function
    return function


@tool
def echo(message: dict[str, Any]) -> Any:
    return text(message["params"]["arguments"]["text"])


@tool
def pid(_message: dict[str, Any]) -> Any:
    return text(str(os.getpid()))


@tool
def child(_message: dict[str, Any]) -> Any:
    return text(str(CHILD.pid if CHILD else 0))


@tool
def die(_message: dict[str, Any]) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@tool
def mute(_message: dict[str, Any]) -> Any:
    os.close(OUT.fileno())


@tool
def never(message: dict[str, Any]) -> Any:
    if (asked := message["params"]["arguments"].get("touch")) is not None:
        Path(asked).touch()


@tool
def cancelled(_message: dict[str, Any]) -> Any:
    return text(CANCELLED)


@tool
def garbage(_message: dict[str, Any]) -> Any:
    say(b"this is no JSON")
    say(b'{"jsonrpc": "2.0", "neither": "fish"}')
    say(b"[1, null, {}]")
    say(b"[" * 100_000)
    return text("after garbage")


@tool
def latin(message: dict[str, Any]) -> Any:
    answer = b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "caf\xe9"}]}}'
    say(answer % message["id"])


@tool
def long(message: dict[str, Any]) -> Any:
    return text("x" * int(message["params"]["arguments"].get("bytes", 50_000_000)))


@tool
def environment(_message: dict[str, Any]) -> Any:
    return text(dict(os.environ) | {"cwd": str(Path.cwd())})


@tool
def progress(message: dict[str, Any]) -> Any:
    for done in (1, 2):
        token = message["params"]["_meta"]["progressToken"]
        told = {"progressToken": token, "progress": done, "total": 2, "message": f"step {done}"}
        send({"method": "notifications/progress", "params": told})
    return text("done")


@tool
def storm(_message: dict[str, Any]) -> Any:
    for number in range(1, 1001):
        VERSIONS.append(f"version_{number}")
        send({"method": "notifications/tools/list_changed"})
    return text("over")


@tool
def fail(_message: dict[str, Any]) -> Any:
    return text("it went wrong", isError=True)


@tool
def structured(_message: dict[str, Any]) -> Any:
    return text("see the numbers", structuredContent={"numbers": [1, 2]})


@tool
def giving(message: dict[str, Any]) -> Any:
    return message["params"]["arguments"]


@tool
def refuse(_message: dict[str, Any]) -> Any:
    raise LookupError("no such thing")


@tool
def deaf(_message: dict[str, Any]) -> Any:
    threading.Event().wait()


@tool
def flood(_message: dict[str, Any]) -> Any:
    while True:
        say(NOTICE)


def described(name: str) -> dict[str, Any]:
    schema = TEXT if name == "echo" else {"type": "object"}
    return {"name": name, "description": f"Does {name}", "inputSchema": schema}


def listed() -> list[Any]:
    if "tools" in BEHAVIOUR:
        found = json.loads(BEHAVIOUR["tools"])
        return [{**each, "description": "x" * 200_000} if "padded" in each else each for each in found]
    if "many" in BEHAVIOUR:
        return [described(f"tool_{number}") for number in range(int(BEHAVIOUR["many"]))]
    return [described(name) for name in (*TOOLS, *VERSIONS[-1:])]


def discover(_message: dict[str, Any]) -> Any:
    if "dies-on-discover" in BEHAVIOUR:
        os._exit(3)
    if "hangs-on-discover" not in BEHAVIOUR:
        raise LookupError("Method not found")


def initialize(_message: dict[str, Any]) -> Any:
    if "hangs" in BEHAVIOUR:
        return None
    capabilities = {"tools": {"listChanged": True}, "resources": {}, "prompts": {}}
    about = {"name": "scripted", "version": "1.0"}
    return {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": about}


def ping(_message: dict[str, Any]) -> Any:
    if "no-ping" in BEHAVIOUR:
        with Path(BEHAVIOUR["no-ping"]).open("a") as pings:
            pings.write("ping")
        raise LookupError("Method not found")
    return {}


def call(message: dict[str, Any]) -> Any:
    name = message["params"]["name"]
    return TOOLS[name](message) if name in TOOLS else text(name)


def read(message: dict[str, Any]) -> Any:
    return {"contents": [{"uri": message["params"]["uri"], "text": "the memo"}]}


METHODS: dict[str, Tool] = {
    "server/discover": discover,
    "initialize": initialize,
    "ping": ping,
    "tools/list": lambda _message: {"tools": listed()},
    "tools/call": call,
    "resources/list": lambda _message: {"resources": [{"uri": "memo://one", "name": "one"}]},
    "resources/read": read,
    "prompts/list": lambda _message: {"prompts": [{"name": "greet"}]},
}


def answer(message: dict[str, Any]) -> None:
    if message["method"] == "notifications/cancelled":
        CANCELLED.append(message["params"]["requestId"])
        if "notes" in BEHAVIOUR:
            with Path(BEHAVIOUR["notes"]).open("a") as notes:
                notes.write(f"{message['params']['reason']}\n")
    if "id" not in message:
        return
    try:
        result = METHODS[message["method"]](message)
    except LookupError as error:
        send({"id": message["id"], "error": {"code": -32601, "message": str(error.args[0])}})
        return
    if result is not None:
        send({"id": message["id"], "result": result})


def main() -> None:
    if "exits" in BEHAVIOUR:
        sys.stderr.write("there is no license\nfor this machine\n")
        if "tells" in BEHAVIOUR:
            sys.stderr.write(f"and the key {os.environ[BEHAVIOUR['tells']]} is none\n")
        sys.exit(7)
    if "silent" in BEHAVIOUR:
        threading.Event().wait()
    if "stubborn" in BEHAVIOUR:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "rubbish" in BEHAVIOUR:
        say(b"Welcome to the server!")
        say(b"\xff\xfe\x00 \x80")
    for line in sys.stdin.buffer:
        answer(json.loads(line))
    while "stubborn" in BEHAVIOUR:
        time.sleep(1)  # it lives on after its input has ended


CHILD = None
if "with-child" in BEHAVIOUR:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    nothing = subprocess.DEVNULL
    CHILD = subprocess.Popen(
        [sys.executable, "-S", "-c", stubborn], stdin=nothing, stdout=nothing, stderr=nothing
    )
if __name__ == "__main__":
    main()
