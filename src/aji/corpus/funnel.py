"""What became of every page: counts, bytes and time of each block and reason, as table, picture and file."""

from collections import Counter, defaultdict
from pathlib import Path

from aji.corpus.block import EXAMPLES, KEPT, example_key
from aji.manifest import read_json, write_text


Blocks = dict[str, dict]


def read_trace(folder: Path) -> Blocks:
    """The counts of all tasks: block -> documents, bytes and examples by outcome, seconds, notes. In their order.

    Args:
        folder: `trace` of the run: a folder for each step, a file for each task and block.
    """
    blocks: Blocks = {}
    for path in sorted(
        folder.glob("*/*.json"), key=lambda path: (path.parent.name, path.stem.split("-")[1], path.stem)
    ):
        part = read_json(path)
        known = blocks.setdefault(
            part["block"],
            {
                "documents": Counter(),
                "bytes": Counter(),
                "seconds": 0.0,
                "notes": Counter(),
                "examples": defaultdict(list),
            },
        )
        for key in ("documents", "bytes", "notes"):
            known[key].update(part[key])
        known["seconds"] += part["seconds"]
        for outcome, rows in part["examples"].items():
            known["examples"][outcome] += rows
    for known in blocks.values():
        for outcome, rows in known["examples"].items():
            rows.sort(key=lambda row: example_key(row["url"]), reverse=True)
            known["examples"][outcome] = rows[:EXAMPLES]
    return blocks


def counts(blocks: Blocks) -> dict:
    """`read_trace` without times and examples: what is the same in every run of the same input and settings."""
    return {
        name: {
            "documents": dict(sorted(block["documents"].items())),
            "bytes": dict(sorted(block["bytes"].items())),
            "notes": dict(sorted(block["notes"].items())),
        }
        for name, block in blocks.items()
    }


def metrics(blocks: Blocks) -> dict[str, float]:
    """Flat figures: pages in, pages out, dropped by block, and what was masked."""
    first, last = next(iter(blocks.values())), list(blocks.values())[-1]
    figures: dict[str, float] = {"pages": first["documents"].total(), "pages_kept": last["documents"][KEPT]}
    for name, block in blocks.items():
        figures[f"dropped_{name}"] = block["documents"].total() - block["documents"][KEPT]
        figures[f"seconds_{name}"] = round(block["seconds"], 2)
    for block in blocks.values():
        figures |= {note: count for note, count in block["notes"].items() if note.startswith("masked_")}
    return figures


def notes(blocks: Blocks) -> list[str]:
    """What was wrong with files, in words."""
    return [note for block in blocks.values() for note in block["notes"] if not note.startswith("masked_")]


def table(blocks: Blocks) -> str:
    """The funnel in Markdown: a line for each block, and below it one for each reason."""
    lines = ["| block | reason | documents | share | MB | seconds |", "|---|---|--:|--:|--:|--:|"]
    for name, block in blocks.items():
        seen, kept = block["documents"].total(), block["documents"][KEPT]
        cells = (
            name,
            "**kept**",
            f"{kept:,}",
            share(kept, seen),
            megabytes(block["bytes"][KEPT]),
            f"{block['seconds']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
        for reason, count in sorted(block["documents"].items(), key=lambda item: (-item[1], item[0])):
            if reason != KEPT:
                cells = ("", reason, f"{count:,}", share(count, seen), megabytes(block["bytes"][reason]), "")
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else ""


def megabytes(count: int) -> str:
    return f"{count / 1e6:.2f}"


def examples(blocks: Blocks) -> str:
    """Some pages of each reason, and of those that every block kept, in Markdown."""
    parts = ["# Examples", "A few pages of each reason, chosen by a hash of their address; the first 400 characters."]
    last = list(blocks)[-1]
    for name, block in blocks.items():
        for outcome, rows in sorted(block["examples"].items()):
            if outcome == KEPT and name != last:
                continue
            parts.append(f"## {name}: {outcome}")
            parts += [f"<{row['url']}>\n\n```text\n{row['text'].replace('```', '` ` `')}\n```" for row in rows]
    return "\n\n".join(parts) + "\n"


def draw(blocks: Blocks, path: Path) -> None:
    """Bars of what each block was given: what it kept, and what it dropped in the colours of the reasons."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(10, 0.62 * len(blocks) + 1.2))
    most = max(block["documents"].total() for block in blocks.values()) or 1
    colours = plt.get_cmap("tab20").colors
    for row, block in enumerate(blocks.values()):
        kept = block["documents"][KEPT]
        axis.barh(row, kept, color="#3b6fb6", height=0.6)
        left, words = kept, []
        reasons = [item for item in block["documents"].most_common() if item[0] != KEPT]
        for index, (reason, count) in enumerate(reasons):
            axis.barh(row, count, left=left, color=colours[(2 * index + 2) % 20], height=0.6)
            left += count
            words.append(f"{reason} {count:,}")
        label = ", ".join(words[:3]) + (f", {len(words) - 3} more" if len(words) > 3 else "")
        axis.text(most * 1.01, row, label, va="center", fontsize=7.5, color="#444444")
        axis.text(most * 0.005, row, f"{kept:,}", va="center", fontsize=8, color="white")
    axis.set_yticks(range(len(blocks)), list(blocks), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, most * 1.55)
    axis.set_xticks([])
    axis.set_title(
        "Pages that each block kept (blue) and dropped, with the commonest reasons", fontsize=10, loc="left"
    )
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def write_funnel(blocks: Blocks, folder: Path) -> None:
    """`funnel.md`, `funnel.png` and `examples.md` in `folder`."""
    text = f"# Funnel\n\n![pages kept and dropped by each block](funnel.png)\n\n{table(blocks)}\n"
    said = notes(blocks)
    if said:
        text += "\n" + "\n".join(f"- {note}" for note in said) + "\n"
    write_text(folder / "funnel.md", text)
    write_text(folder / "examples.md", examples(blocks))
    draw(blocks, folder / "funnel.png")
