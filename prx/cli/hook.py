"""`prx hook`: who is told of events, and what became of the deliveries."""

from datetime import timedelta
from typing import Any, Final, get_args
from urllib.parse import urlencode

import click

from prx.cli.client import daemon, segment
from prx.cli.durations import Duration
from prx.cli.output import as_json_option, fields, moment, page_options, show_json, styled_status, table
from prx.webhooks.hook import DeliveryState

_id_argument: Final = click.argument("hook_id", metavar="ID")

Answer = dict[str, Any]


@click.group()
def hook() -> None:
    """Register webhooks, and see what became of the deliveries."""


@hook.command("list")
@as_json_option
def list_hooks(*, as_json: bool) -> None:
    """List every webhook, those of the configuration among them."""
    with daemon() as client:
        found = client.get("/hooks")
    if as_json:
        show_json(found)
    elif found["hooks"]:
        click.echo(_listed(found["hooks"]))
    else:
        click.echo("No webhooks; `prx hook add URL` registers one.")


@hook.command()
@_id_argument
@as_json_option
def info(hook_id: str, *, as_json: bool) -> None:
    """Show one webhook in full."""
    with daemon() as client:
        found = client.get(_path(hook_id))
    _show(found, as_json=as_json)


@hook.command()
@click.argument("url")
@click.option(
    "--event", "events", multiple=True, help="Which event; may be given several times. Without it, all."
)
@as_json_option
def add(url: str, events: tuple[str, ...], *, as_json: bool) -> None:
    """Register a webhook; prints the secret that its deliveries are signed with, this once."""
    with daemon() as client:
        found = client.request("POST", "/hooks", {"url": url, "events": events or ["*"]})
    if as_json:
        show_json(found)
    else:
        click.echo(f"Webhook {found['id']} is registered. Its secret, shown this once:\n{found['secret']}")


@hook.command()
@_id_argument
@as_json_option
def remove(hook_id: str, *, as_json: bool) -> None:
    """Remove a webhook, and what it was still to get."""
    with daemon() as client:
        client.request("DELETE", _path(hook_id))
    if as_json:
        show_json({"id": hook_id, "removed": True})
    else:
        click.echo(f"Webhook {hook_id} is removed.")


@hook.command()
@_id_argument
@as_json_option
def enable(hook_id: str, *, as_json: bool) -> None:
    """Send events again, beginning with those that wait."""
    _change(hook_id, {"active": True}, as_json=as_json)


@hook.command()
@_id_argument
@as_json_option
def disable(hook_id: str, *, as_json: bool) -> None:
    """Send nothing, and keep nothing that happens from now on for it."""
    _change(hook_id, {"active": False}, as_json=as_json)


@hook.command()
@_id_argument
@click.option(
    "--overlap", type=Duration(), default="1d", show_default=True, help="How long both secrets sign."
)
@click.option("--at-once", is_flag=True, help="Do not sign with the secret before any more.")
@as_json_option
def rotate(hook_id: str, overlap: timedelta, *, at_once: bool, as_json: bool) -> None:
    """Have another secret made; prints it, this once."""
    secs = 0 if at_once else int(overlap.total_seconds())
    with daemon() as client:
        found = client.request("PATCH", _path(hook_id), {"rotate_secret": True, "overlap_secs": secs})
    if as_json:
        show_json(found)
    else:
        click.echo(found["secret"])


@hook.command()
@_id_argument
@as_json_option
def test(hook_id: str, *, as_json: bool) -> None:
    """Send a webhook an event of its own, now. Exit code 1 when it was not taken."""
    with daemon() as client:
        found = client.request("POST", f"{_path(hook_id)}/test")
    if as_json:
        show_json(found)
    else:
        click.echo(fields(_about_attempt(found)))
    if found["state"] != "delivered":
        raise click.exceptions.Exit(1)


@hook.command()
@_id_argument
@click.option("--state", type=click.Choice(get_args(DeliveryState)), help="Only those of this state.")
@page_options
@as_json_option
def deliveries(hook_id: str, *, state: DeliveryState | None, limit: int, offset: int, as_json: bool) -> None:
    """List what became of the events that a webhook wanted, the newest first."""
    asked = {"limit": limit, "offset": offset} | ({} if state is None else {"state": state})
    with daemon() as client:
        found = client.get(f"{_path(hook_id)}/deliveries?{urlencode(asked)}")
    if as_json:
        show_json(found)
    elif found["deliveries"]:
        click.echo(_deliveries(found["deliveries"], found["total"], offset))
    else:
        click.echo("No deliveries.")


@hook.command()
@_id_argument
@click.argument("delivery_id", metavar="DELIVERY")
@as_json_option
def retry(hook_id: str, delivery_id: str, *, as_json: bool) -> None:
    """Send an event again, whatever became of it."""
    with daemon() as client:
        found = client.request("POST", f"{_path(hook_id)}/deliveries/{segment(delivery_id)}/retry")
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['id']} is sent again.")


def _path(hook_id: str) -> str:
    return f"/hooks/{segment(hook_id)}"


def _change(hook_id: str, change: Answer, *, as_json: bool) -> None:
    with daemon() as client:
        found = client.request("PATCH", _path(hook_id), change)
    _show(found, as_json=as_json)


def _show(found: Answer, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        click.echo(fields(_about(found)))


def _status(found: Answer) -> str:
    return "active" if found["active"] else "disabled"


def _listed(hooks: list[Answer]) -> str:
    rows = [(found["id"], _status(found), ", ".join(found["events"]), found["url"]) for found in hooks]
    return table(("ID", "STATUS", "EVENTS", "URL"), rows, paint={"STATUS": styled_status})


def _about(found: Answer) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = [
        ("Webhook", found["id"]),
        ("Status", _status(found)),
        ("URL", found["url"]),
        ("Events", ", ".join(found["events"])),
        ("Created", moment(found["created_at"])),
        ("From", "the configuration" if found["origin"] == "config" else "the API"),
        ("Waiting", found["pending"]),
    ]
    if found["lost"]:
        told.append(("Lost", found["lost"]))
    if "error" in found:
        told.append(("Switched off", f"{moment(found['inactive_since'])}: {found['error']}"))
    return told


def _deliveries(found: list[Answer], total: int, offset: int) -> str:
    rows = [
        (
            delivery["id"],
            delivery["event"],
            delivery["state"],
            delivery["attempts"],
            delivery.get("status", "-"),
            f"{delivery['latency_ms']} ms" if "latency_ms" in delivery else "-",
            moment(delivery["next_try_at"]) if "next_try_at" in delivery else "-",
        )
        for delivery in found
    ]
    headings = ("ID", "EVENT", "STATE", "ATTEMPTS", "STATUS", "LATENCY", "NEXT TRY")
    shown = table(headings, rows, paint={"STATE": styled_status})
    faults = [(delivery["id"], _fault(delivery)) for delivery in found if "error" in delivery]
    if faults:
        shown = f"{shown}\n\n{fields(faults)}"
    last = offset + len(found)
    return shown if last >= total else f"{shown}\n\n{total - last} more: --offset {last}"


def _fault(delivery: Answer) -> str:
    """Return why an attempt failed, and what the receiver answered."""
    return ": ".join(delivery[name] for name in ("error", "excerpt") if name in delivery)


def _about_attempt(found: Answer) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = [("Delivery", found["id"]), ("State", found["state"])]
    names = {"status": "Status", "latency_ms": "Latency in ms", "error": "Error", "excerpt": "Answer"}
    return told + [(title, found[name]) for name, title in names.items() if name in found]
