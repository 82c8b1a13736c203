"""`runs/<profile>/report.md`: every stage of a chain with its cost and its figures, and what they look like."""

from pathlib import Path

import matplotlib


matplotlib.use("Agg")
from matplotlib import pyplot as plt

from aji.callbacks import duration
from aji.errors import UserError
from aji.manifest import MANIFEST, METRICS, read_json, write_text
from aji.report import trial
from aji.report.tables import markdown
from aji.report.truthful import character_table, truthful_table


ENGLISH, KOREAN = "#3b6fb6", "#e0833b"
KNOWLEDGE = {
    "common": "common\nknowledge",
    "people_often": "people often\nmentioned",
    "people_rare": "people rarely\nmentioned",
    "people_never": "people never\nmentioned",
}

BY_TRIAL = ("rlvr", "rlhf")  # recipes whose loss says nothing


def write_report(folder: Path) -> Path:
    """Collect all finished stages below `folder` into `folder/report.md` with its pictures.

    Raises:
        UserError: when no stage is there.
    """
    stages = sorted(
        ((read_json(path), read_json(path.parent / METRICS), path.parent) for path in folder.glob(f"*/{MANIFEST}")),
        key=lambda stage: stage[0]["finished"],
    )
    if not stages:
        raise UserError(f"{folder} holds no finished stage: give the folder of a chain, for instance runs/laptop.")
    parts = [f"# {folder}", _costs(stages)]
    for picture in (_loss(stages, folder), _exam(stages, folder), *_trial(stages, folder)):
        parts += [f"![{picture.stem.replace('_', ' ')}]({picture.name})"] if picture else []
    for title, table in (("What it does not know", truthful_table(stages)), ("Character", character_table(stages))):
        parts += [f"## {title}", table] if table else []
    maps = [path / "map.png" for _, _, path in stages if (path / "map.png").is_file()]
    parts += [f"![knowledge map]({path.relative_to(folder)})" for path in maps]
    for _, metrics, path in stages:
        parts += [f"## {path.name}", markdown(_figures(metrics))]
    report = folder / "report.md"
    write_text(report, "\n\n".join(parts) + "\n")
    return report


def _costs(stages: list[tuple]) -> str:
    lines = ["| stage | time | tokens | tokens/s | peak memory |", "|---|--:|--:|--:|--:|"]
    total = 0.0
    for manifest, metrics, path in stages:
        total += manifest["wall_seconds"]
        tokens, speed = (
            f"{metrics[key]:,}" if key in metrics else "" for key in ("train_tokens", "train_tokens_per_second")
        )
        cells = [path.name, duration(manifest["wall_seconds"]), tokens, speed, f"{manifest['peak_memory_gb']:.2f} GB"]
        lines.append(f"| {' | '.join(cells)} |")
    machine = stages[-1][0]["machine"]
    return "\n".join(
        [*lines, f"| all | {duration(total)} | | | |", "", f"On {machine['cores']} cores, {machine['device']}."]
    )


def _figures(metrics: dict) -> dict:
    """Metrics without the halves by language of tasks that are shown whole, which the picture has."""
    return {name: value for name, value in metrics.items() if not isinstance(value, dict | list)}


def _loss(stages: list[tuple], folder: Path) -> Path | None:
    histories = {
        path.name: [entry for entry in read_json(path / "log_history.json") if "loss" in entry]
        for manifest, _, path in stages
        if (path / "log_history.json").is_file() and manifest.get("recipe") not in BY_TRIAL
    }
    histories = {name: history for name, history in histories.items() if history}
    if not histories:
        return None
    figure, axes = plt.subplots(1, len(histories), figsize=(4.5 * len(histories), 3.2), squeeze=False)
    for axis, (name, history) in zip(axes[0], histories.items(), strict=True):
        axis.plot([entry["step"] for entry in history], [entry["loss"] for entry in history], color=ENGLISH)
        axis.set(title=name, xlabel="step", ylabel="loss (nats per token)")
        axis.grid(alpha=0.3)
    return _save(figure, folder / "loss.png")


def _trial(stages: list[tuple], folder: Path) -> list[Path | None]:
    """How learning by trial went: against its demonstrators, and in the replies."""
    found = [(path, metrics) for manifest, metrics, path in stages if manifest.get("recipe") == "rlvr"]
    if not found:
        return []
    path, metrics = found[-1]
    history = read_json(path / "log_history.json")
    return [trial.beyond(history, metrics, folder / "beyond.png"), trial.over_steps(history, folder / "steps.png")]


def _exam(stages: list[tuple], folder: Path) -> Path | None:
    """What the model knows by how often it was told, and sums with and without worked steps."""
    metrics = next((metrics for _, metrics, _ in reversed(stages) if "people_never" in metrics), None)
    if metrics is None:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    _bars(left, metrics, KNOWLEDGE, {"en": ("English", ENGLISH), "ko": ("Korean", KOREAN)})
    left.set(title="Right answers to questions in unseen words", ylabel="percent, 95 % interval")
    digits = [digit for digit in range(1, 5) if f"sum{digit}_steps" in metrics]
    sums = {f"sum{digit}": f"{digit} digit{'s' * (digit > 1)}" for digit in digits}
    _bars(right, metrics, sums, {"direct": ("answered directly", "#999999"), "steps": ("with worked steps", ENGLISH)})
    right.set(title="Sums: models need tokens to think")
    return _save(figure, folder / "exam.png")


def _bars(axis, metrics: dict, groups: dict[str, str], series: dict[str, tuple[str, str]]) -> None:
    """Grouped bars of the metrics `GROUP_SERIES` with their intervals."""
    width = 0.8 / len(series)
    for index, (suffix, (label, colour)) in enumerate(series.items()):
        names = [f"{group}_{suffix}" for group in groups]
        values = [metrics.get(name, 0) for name in names]
        spans = [
            [max(0, value - metrics.get(f"{name}_low", value)) for name, value in zip(names, values, strict=True)],
            [max(0, metrics.get(f"{name}_high", value) - value) for name, value in zip(names, values, strict=True)],
        ]
        places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(groups))]
        axis.bar(places, values, width, yerr=spans, capsize=2, label=label, color=colour, error_kw={"lw": 0.8})
    axis.set_xticks(range(len(groups)), list(groups.values()), fontsize=8)
    axis.set_ylim(0, 122)  # the legend stands above the bars
    axis.set_yticks(range(0, 101, 20))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8, loc="upper right", ncols=2)


def _save(figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
