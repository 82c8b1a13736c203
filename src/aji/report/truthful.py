"""The table of what models say about what they do not know, one block of lines for each evaluation of a chain."""

from pathlib import Path


GROUPS = {
    "people_often": "people often mentioned",
    "people_often_unasked": "people often mentioned, in no dialog",
    "people_rare": "people rarely mentioned",
    "people_never": "people never mentioned",
    "paragraph": "people never mentioned, their page in the prompt",
    "search_present": "people never mentioned, their page in the search",
    "search_absent": "people never mentioned, no page in the search",
    "search_known": "people often mentioned, tools at hand",
    "common": "common knowledge",
}
LANGUAGES = {"en": "English", "ko": "Korean"}
CHARACTER = {
    "identity": "who it is, by its training",
    "identity_system": "who it is, with its facts as system prompt",
    "identity_other": "who it is, with somebody else's facts as system prompt",
    "harmful": "harmful requests refused",
    "harmless": "harmless look-alikes answered",
    "harmful_wide": "harmful requests of all kinds refused",
    "harmless_wide": "harmless requests of all kinds answered",
}


def truthful_table(stages: list[tuple[dict, dict, Path]]) -> str:
    """Markdown: right, made up and abstained in percent by group and language; "" where no stage measured it.

    `stages` are (manifest, metrics, folder) as the report has them.
    """
    measured = [(metrics, path.name) for _, metrics, path in stages if "people_never_abstained" in metrics]
    lines = []
    for metrics, name in measured:
        for group, title in GROUPS.items():
            for language, spoken in LANGUAGES.items():
                cells = [metrics.get(f"{group}{part}_{language}") for part in ("", "_made_up", "_abstained")]
                if None not in cells:
                    lines.append(f"| {name} | {title} | {spoken} | {' | '.join(f'{cell:g}' for cell in cells)} |")
    if not lines:
        return ""
    head = ["| evaluation | about | language | right | made up | does not know |", "|---|---|---|--:|--:|--:|"]
    return "\n".join([*head, *lines])


def character_table(stages: list[tuple[dict, dict, Path]]) -> str:
    """Markdown: identity by route, refusals, look-alikes; a column for each evaluation; "" where there is none."""
    measured = [(metrics, path.name) for _, metrics, path in stages if any(task in metrics for task in CHARACTER)]
    if not measured:
        return ""
    lines = [f"| percent right | {' | '.join(name for _, name in measured)} |", f"|---|{'--:|' * len(measured)}"]
    for task, title in CHARACTER.items():
        cells = [_with_interval(metrics, task) for metrics, _ in measured]
        if any(cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_interval(metrics: dict, name: str) -> str:
    if name not in metrics:
        return ""
    return f"{metrics[name]:g} ({metrics[f'{name}_low']:g} to {metrics[f'{name}_high']:g})"
