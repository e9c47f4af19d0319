"""What the API shows of a plugin, as plain JSON values."""

from typing import Any

from prx.core.ids import iso_utc
from prx.core.job import Job, JobRun
from prx.core.tool import CallTotals
from prx.plugins.calls import Limits
from prx.plugins.signing import Signature
from prx.runtime.cron import JobState


def limits_shown(limits: Limits) -> dict[str, Any]:
    """Return limits under the names and in the units of the manifest."""
    return {
        "max_fuel": limits.max_fuel,
        "max_memory_mb": limits.max_memory_bytes // (1024 * 1024),
        "max_execution_time_ms": round(limits.max_execution_secs * 1000),
        "max_output_kb": limits.max_output_bytes // 1024,
        "max_http_requests": limits.max_http_requests,
        "max_kv_storage_kb": limits.max_kv_bytes // 1024,
        "max_concurrency": limits.max_concurrency,
        "instance": "warm" if limits.warm else "fresh",
    }


def signature_shown(signature: Signature | None) -> dict[str, Any] | None:
    """Return who vouches for a plugin, as `GET /plugins/:name` shows it."""
    return None if signature is None else {"key": signature.key, "trusted": signature.trusted}


def totals_shown(totals: CallTotals) -> dict[str, Any]:
    """Return receipts that were summed up."""
    return {
        "total": totals.calls,
        "failed": totals.failures,
        "fuel_used": totals.fuel_used,
        "guest_ms": round(totals.guest_ms, 3),
        "peak_memory_bytes": totals.peak_memory_bytes,
        "host_calls": totals.host_calls,
        "http_requests": totals.http_requests,
        "bytes_in": totals.bytes_in,
        "bytes_out": totals.bytes_out,
        "errors": totals.errors_by_code,
    }


def job_shown(job: Job, state: JobState) -> dict[str, Any]:
    """Return a cron job, with its last and next run."""
    last = state.last_run
    return {
        "name": job.name,
        "schedule": job.due.expression,
        "timezone": job.due.timezone,
        "running": state.running,
        "next_run": None if state.next_run is None else iso_utc(state.next_run),
        "last_run": None if last is None else _run(last),
    }


def _run(run: JobRun) -> dict[str, Any]:
    return {
        "started": iso_utc(run.started),
        "ended": iso_utc(run.ended),
        "success": run.success,
        "outcome": run.outcome,
    }
