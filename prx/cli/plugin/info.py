"""`prx plugin info`: one plugin in full."""

from collections.abc import Iterator
from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, fields, moment, show_json, size, status_sentence, table
from prx.cli.plugin.grants import grants_text
from prx.cli.plugin.versions import versions_table

Answer = dict[str, Any]


@click.command()
@click.argument("name")
@as_json_option
def info(name: str, *, as_json: bool) -> None:
    """Show one plugin in full: what it brings, may do, was refused, used and failed with, and its versions.

    With --json the answers of the API: GET /plugins/NAME, with `permissions` from its grants and `versions`.
    """
    path = f"/plugins/{segment(name)}"
    with daemon() as client:
        found = client.get(path)
        found["permissions"] = client.get(f"{path}/grants")
        found["versions"] = client.get(f"{path}/versions")["versions"]
    if as_json:
        show_json(found)
    else:
        click.echo("\n\n".join(_sections(found)))


def _sections(found: Answer) -> Iterator[str]:
    """Yield what there is to tell; while nothing of it runs, that is less."""
    heading = status_sentence(found["name"], found["version"], found["status"])
    yield f"{heading}\n{fields(list(_about(found)))}"
    yield f"Permissions\n{grants_text(found['permissions'])}"
    if "calls" in found:
        yield f"Calls\n{fields(list(_calls(found)))}"
        limits = {name: "none" if value is None else value for name, value in found["limits"].items()}
        yield f"Limits\n{fields(list(limits.items()))}"
        if found["cron"]:
            yield f"Cron jobs\n{_cron(found['cron'])}"
        if any(found["events"].values()):
            yield f"Events\n{fields(list(found['events'].items()))}"
        if found["skipped"]:
            yield f"Not offered\n{fields(list(found['skipped'].items()))}"
    if found["versions"]:
        yield f"Versions\n{versions_table(found['versions'])}"


def _about(found: Answer) -> Iterator[tuple[str, object]]:
    if "error" in found:
        yield "Error", found["error"]
    about = (found.get("manifest") or {}).get("plugin", {})
    for key in ("description", "author", "license"):
        if about.get(key):
            yield key.capitalize(), about[key]
    yield "Brings", " ".join(found["capabilities"]) or "nothing"
    yield "Path", found["path"]
    yield "Generation", found["generation"]
    if (back := found.get("rolled_back")) is not None:
        yield (
            "Rolled back",
            f"from {back['from']} to {back['to']} at {moment(back['at'])}: {back['reason']}",
        )
    if "digest" in found:
        yield "Loaded", moment(found["loaded_at"])
        yield "Digest", found["digest"]
        yield "Signed by", _signature(found["signature"])
    yield "Memory", size(found["memory_usage_bytes"])
    for warning in found.get("warnings", ()):
        yield "Warning", warning


def _signature(signature: Answer | None) -> str:
    if signature is None:
        return "nobody"
    return f"{signature['key']}, which is {'trusted' if signature['trusted'] else 'not trusted'}"


def _calls(found: Answer) -> Iterator[tuple[str, object]]:
    calls = found["calls"]
    yield "Total", f"{calls['total']}, of which {calls['failed']} failed"
    if calls["errors"]:
        yield "Errors", ", ".join(f"{code} {count}" for code, count in calls["errors"].items())
    if (last := found["last_error"]) is not None:
        yield "Last error", f"{last['code']}: {last['message']}"
    yield "Time in guest", f"{calls['guest_ms']} ms"
    yield "Fuel", calls["fuel_used"]
    yield "Peak memory", size(calls["peak_memory_bytes"])
    yield "In and out", f"{size(calls['bytes_in'])} in, {size(calls['bytes_out'])} out"
    yield "Host calls", f"{calls['host_calls']}, of which {calls['http_requests']} HTTP requests"


def _cron(jobs: list[Answer]) -> str:
    rows = []
    for job in jobs:
        last = job["last_run"]
        outcome = "never" if last is None else _run(last)
        following = "running now" if job["running"] else moment(job["next_run"]) if job["next_run"] else "-"
        rows.append((job["name"], f"{job['schedule']} {job['timezone']}", following, outcome))
    return table(("NAME", "SCHEDULE", "NEXT RUN", "LAST RUN"), rows)


def _run(run: Answer) -> str:
    return f"{moment(run['started'])} {'done' if run['success'] else 'failed'}: {run['outcome']}"
