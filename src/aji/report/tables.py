"""Metrics as a table: a figure, its 95 % interval and sample size on one line."""

from rich.console import Console
from rich.table import Table


def rows(metrics: dict) -> list[tuple[str, str, str, str]]:
    """Flat metrics as lines (name, figure, interval, n): `NAME_low`, `NAME_high` and `NAME_n` join `NAME`."""
    joined = []
    for name, value in metrics.items():
        base, _, suffix = name.rpartition("_")
        if suffix in ("low", "high", "n") and base in metrics:
            continue
        low, high, n = (metrics.get(f"{name}_{part}") for part in ("low", "high", "n"))
        interval = f"{low:g} to {high:g}" if low is not None else ""
        joined.append((name, _number(value), interval, f"{n:,}" if n is not None else ""))
    return joined


def _number(value) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def show(metrics: dict, title: str) -> None:
    """Print metrics as a table on screen."""
    table = Table("metric", "figure", "95 % interval", "n", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows(metrics):
        table.add_row(*row)
    Console().print(table)


def markdown(metrics: dict) -> str:
    """Metrics as a Markdown table."""
    lines = ["| metric | figure | 95 % interval | n |", "|---|--:|--:|--:|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows(metrics)])
