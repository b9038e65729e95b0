"""The one screen at the end of a run, made from report.json alone."""

from __future__ import annotations

from typing import Any

_ROWS = 24
_BAR = 34


def render(report: dict) -> str:
    """The screen as text: what happened, what it adds up to, what it cost."""
    run = report["run"]
    return "\n".join([
        "",
        f"  Spillway · burst {run['burst']} · {run['profile']} · {run['placement']}",
        "",
        *_timeline(report),
        "",
        *_balance(report),
        "",
        *_figures(report),
        "",
    ])


def _timeline(report: dict) -> list[str]:
    rows = report["timeline"]
    step = max(1, -(-len(rows) // _ROWS))
    groups = [rows[start:start + step] for start in range(0, len(rows), step)]
    peak = max((_mean(group, "kept_per_s") + _mean(group, "diverted_per_s") for group in groups), default=0) or 1
    lines = ["    time     due/s   local/s  diverted/s   p99 local   p99 cloud   █ local  ░ diverted"]
    for group in groups:
        kept, diverted = _mean(group, "kept_per_s"), _mean(group, "diverted_per_s")
        solid = round(kept / peak * _BAR)
        light = round((kept + diverted) / peak * _BAR) - solid
        lines.append(
            f"  {group[0]['offset_s']:4d} s  {_rate(_mean(group, 'due_per_s')):>8}  {_rate(kept):>8}  {_rate(diverted):>10}"
            f"  {_ms(_worst(group, 'p99_local_ms')):>10}  {_ms(_worst(group, 'p99_cloud_ms')):>10}   {'█' * solid}{'░' * light}"
        )
    if step > 1:
        lines.append(f"  each row is {step} s: rates are means, p99 is the worst second's, of the records due in it")
    return lines


def _balance(report: dict) -> list[str]:
    records, balance = report["records"], report["balance"]
    local = records["kept"] + records["bounced"]
    width = max(len(f"{value:,}") for value in records.values())
    lines = [
        "  Balance sheet",
        f"    received  {records['received']:>{width},}",
        f"    local     {local:>{width},}   {_share(local, records['received'])}" + (f"  ({records['bounced']:,} of them bounced)" if records["bounced"] else ""),
        f"    diverted  {records['diverted']:>{width},}   {_share(records['diverted'], records['received'])}",
        f"    late      {records['late']:>{width},}",
        f"    windows {balance['windows']}, open {balance['open']}, records lost {balance['lost']}, duplicated {balance['duplicated']}, "
        f"orphaned partials {balance['orphans']}",
    ]
    verdict = "equal, byte for byte" if report["oracle"]["match"] else "DIFFERENT"
    lines.append(f"    against the oracle: {verdict}  ({report['result']['rows']:,} rows, sha256 {report['result']['sha256_of_canonical_csv'][:16]}…)")
    return lines


def _figures(report: dict) -> list[str]:
    function, cost, divert = report["function"], report["cost_usd"], report["divert"]
    lines = []
    if report["spike_rate_per_s"]:
        capacity = report["local_capacity_per_s"]
        times = f"; the local lane can take {_rate(capacity)}/s, says {report['local_capacity_from']}" if capacity else ""
        lines.append(f"  Spike     {_rate(report['spike_rate_per_s'])}/s{times}")
    if report["reaction_ms"] is not None:
        lines.append(f"  Reaction  {_ms(report['reaction_ms'])} from the spike's first record to the first diverted one; "
                     f"diverting ended {_ms(report['release_ms'])} after the spike")
    for lane in ("local", "cloud"):
        parts = [
            f"{phase} {_ms(measures['p50'])} / {_ms(measures['p99'])} / {_ms(measures['max'])}"
            for phase, measures in report["latency_ms"][lane].items() if measures["count"]
        ]
        if parts:
            lines.append(f"  Latency   {lane}, p50 / p99 / max:  " + "   ".join(parts))
    if function["invocations"]:
        lines.append(f"  Function  {function['invocations']:,} invocations, {function['cold_starts']} cold starts, {_number(function['ns_per_record'])} ns/record, "
                     f"{function['binary_bytes'] / 1e6:.1f} MB binary, init {_ms(function['init_ms'])}; batches p50 {_ms(divert['p50_ms'])}, p99 {_ms(divert['p99_ms'])}")
    if cost["per_million_records"] is not None:
        lines.append(f"  Cost      ${cost['lambda'] + cost['s3_puts']:.6f} at AWS list price: Lambda ${cost['lambda']:.6f}, S3 PUTs ${cost['s3_puts']:.6f}; "
                     f"${cost['per_million_records']:.4f} per million diverted records")
    if report["run"]["taskmanager_killed_at_ms"] is not None:
        lines.append(f"  Fault     TaskManager killed {report['run']['taskmanager_killed_at_ms'] / 1_000:.1f} s into the run, restarted by the cluster")
    return lines


def _mean(group: list[dict], name: str) -> float:
    return sum(row[name] for row in group) / len(group)


def _worst(group: list[dict], name: str) -> float | None:
    return max((row[name] for row in group if row[name] is not None), default=None)


def _rate(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.1f} k" if value >= 1e3 else f"{value:.0f}"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1e3:.1f} s" if value >= 1_000 else f"{value:.0f} ms"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:6.1%}" if whole else ""
