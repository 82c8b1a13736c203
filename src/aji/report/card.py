"""The model card that stands beside every trained model."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from aji.report.tables import markdown


TEXT = """---
{card_data}
---

# {name}

Trained with `recipes/{recipe}.py` of aji. Every setting, package version and input hash is in `stage.json`.

```bash
aji chat {name}
```

## Inputs

{inputs}

## Measured

{metrics}
"""


def write_card(folder: Path, recipe: str, parents: list[dict], metrics: dict) -> None:
    """Write `README.md` with what is known about the model in `folder`."""
    inputs = "\n".join(f"- `{parent['path']}` ({(parent['sha256'] or 'Hub')[:12]})" for parent in parents)
    card_data = ModelCardData(library_name="transformers", pipeline_tag="text-generation", tags=["aji", recipe])
    text = TEXT.format(
        card_data=card_data.to_yaml(), name=folder.name, recipe=recipe, inputs=inputs, metrics=markdown(metrics)
    )
    ModelCard(text).save(folder / "README.md")
