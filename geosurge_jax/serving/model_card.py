"""The README.md of a released model: what it is for, what not, data, measured accuracy, license."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geosurge_jax import __version__
from geosurge_jax.experiment.trained_model import Provenance, TrainedModel
from geosurge_jax.interop.family import WeightsError

INTENDED_USE = """\
Research on image geo-localization, looking into one's own photos, and work such as checking sources where
there is a reason and a rule for it. The answer is a probability over the Earth, not a fact: show it with
its uncertainty."""
MISUSE = """\
Do not use this model to find, follow or expose people without their consent, to watch groups, or to undo the
anonymity of an image that somebody published for their safety. It is biased towards the places that people
photograph, and its probabilities are not calibrated."""
SYNTHETIC = """\
> **This model was trained on the synthetic Earth, a generated world. Its places mean nothing for real
photos.** It shows > how the software works and nothing else.
"""


def model_card(model: TrainedModel, name: str, license_name: str, scores: Path | None) -> str:
    """Returns the model card as Markdown with the entries that the hub reads at its head.

    Args:
        model: the released model.
        name: "ORG/NAME" on the hub.
        license_name: SPDX identifier of the weights' license.
        scores: `scores.json` of the run; None where nothing was measured.

    Raises:
        WeightsError: the scores cannot be read.
    """
    provenance = model.provenance
    preprocessing = model.system.preprocessing
    facts = [
        ("system", model.system.name),
        ("training data", provenance.training_data),
        ("training step", "" if provenance.step is None else str(provenance.step)),
        *model.system.description,
        ("image size", f"{preprocessing.image_size} px ({preprocessing.resize})"),
        ("decision rule", model.decision),
        ("image encoder", _backbone(provenance)),
        ("written by", f"geosurge_jax {__version__}"),
    ]
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts if value)
    return f"""\
---
license: {license_name.lower()}
library_name: geosurge_jax
pipeline_tag: image-classification
tags:
  - geo-localization
  - jax
---

# {name.rpartition("/")[2]}

{SYNTHETIC if provenance.synthetic else ""}
Given one image, a probability over the whole Earth of where it was taken.

```python
from geosurge_jax import Predictor

predictor = Predictor.from_pretrained("hf:{name}")
prediction = predictor.predict("holiday.jpg")
prediction.latlng, prediction.probability
```

|  |  |
|---|---|
{rows}

## Intended use

{INTENDED_USE}

## What it must not be used for

{MISUSE}

## Measured accuracy

{_accuracy(scores)}
## License

{license_name}. The training images have licenses of their own.
"""


def _backbone(provenance: Provenance) -> str:
    return "" if provenance.backbone is None else " at revision ".join(provenance.backbone)


def _accuracy(scores: Path | None) -> str:
    """A table with a row for each data set, and the protocol that it was measured under."""
    if scores is None:
        return "Nothing has been measured with this model by its publisher.\n"
    try:
        results: Mapping[str, Any] = json.loads(scores.read_text())
        first = next(iter(results.values()))
        radii = " | ".join(f"{radius:g} km" for radius in first["radii_km"])
        lines = [
            f"| data set | images | {radii} | median error |",
            "|---|---:|" + "---:|" * (len(first["radii_km"]) + 1),
        ]
        for name, found in results.items():
            measured = found["scores"]
            shares = " | ".join(f"{100 * one['value']:.1f} %" for one in measured["accuracy"])
            median = f"{measured['median_km']['value']:,.0f} km"
            lines.append(f"| {name} | {measured['count']:,} | {shares} | {median} |")
        protocol = (
            f"Share of images within a great-circle distance ({first['protocol']}, distance "
            f"{first['comparison']} radius), decision rule `{first['decision']}`. Measured by "
            "`run.py --mode=eval`."
        )
    except (OSError, AttributeError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise WeightsError(
            f"{scores}: not the scores of a run ({type(error).__name__}: {error})"
        ) from error
    return "\n".join([*lines, "", protocol, ""])
