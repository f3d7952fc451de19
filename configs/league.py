"""A league: all systems on one generated Earth with one budget and one small tower, and their ladders.

    python run.py --config=configs/league.py --workdir=workdir/league
    python run.py --config=configs/league.py --config.members=geosurge,planet --workdir=workdir/two
    python run.py --config=configs/league.py --config.members=none --config.ladders=all --workdir=ladders

`members` and `ladders` are "all", "none" or names separated by commas. Everything that the experiments share
is in `budget`, and a field changed there (`--config.budget.steps=1000`) changes in all of them. A second
start goes on where the first one stood; docs/league.md says what the report holds and how to add a member.

These are small runs: they compare systems under equal means, and say little of what each does at the size
that it was published at. Variants: `demo` (the default, about a minute and a half a run on two CPU cores),
`small` (half a minute, for ladders by five seeds) and `tiny` (for tests).
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference

from configs import (
    cplanet,
    geoclip,
    geodecoder,
    geosurge,
    isn,
    league_ladders,
    mvmf,
    nearest,
    planet_classifier,
    regression,
    translocator,
)

# A system's config by variant, "demo" and "tiny" among them.
MEMBERS: Mapping[str, Mapping[str, Callable[[], dict[str, Any]]]] = {
    "geosurge": geosurge.VARIANTS,
    "geoclip": geoclip.VARIANTS,
    "geodecoder": geodecoder.VARIANTS,
    "translocator": translocator.VARIANTS,
    "isn": isn.VARIANTS,
    "planet": planet_classifier.VARIANTS,
    "cplanet": cplanet.VARIANTS,
    "mvmf": mvmf.VARIANTS,
    "nearest": nearest.VARIANTS,
    "regression": regression.VARIANTS,
}

# Of each variant of the league; "small" is the systems' demo with a smaller tower on smaller photos.
BUDGETS = {
    "demo": dict(
        directory="datasets", photos=6000, side=64, tower="nano", patch=16, batch_size=64, steps=400
    ),
    "small": dict(
        directory="datasets", photos=6000, side=32, tower="mu", patch=8, batch_size=64, steps=300
    ),
    "tiny": dict(
        directory="datasets", photos=200, side=32, tower="mu", patch=8, batch_size=16, steps=4
    ),
}


def share(experiment: dict[str, Any], budget: Mapping[str, FieldReference]) -> None:
    """Replaces what all experiments have in common by references to the budget."""
    steps = budget["steps"]
    experiment["data"].update(
        directory=budget["directory"], photos=budget["photos"], size=budget["side"]
    )
    experiment["training"].update(
        batch_size=budget["batch_size"],
        epochs=0.0,
        steps=steps,
        # Once, in the end: what is compared is the budget's last state.
        evaluate_every=steps,
        log_every=10,
        checkpoint_every=100,
        keep=1,
    )
    experiment["optimizer"]["warmup_steps"] = steps // 10
    experiment["evaluation"].update(checkpoint="latest", batch_size=budget["batch_size"])
    for tower in towers(experiment["system"]):
        tower.update(size=budget["tower"], patch=budget["patch"])
        tower["preprocessing"]["image_size"] = budget["side"]


def towers(system: dict[str, Any]) -> list[dict[str, Any]]:
    """The image towers of a system's config."""
    return [
        value for value in system.values() if isinstance(value, dict) and "preprocessing" in value
    ]


def get_config(variant: str = "demo") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    if variant not in BUDGETS:
        raise ValueError(f"configs/league.py:{variant}: expected one of {tuple(BUDGETS)}")
    budget = {name: FieldReference(value) for name, value in BUDGETS[variant].items()}
    size = "tiny" if variant == "tiny" else "demo"
    experiments = {name: makers[size]() for name, makers in MEMBERS.items()}
    variants = {name: make(size) for name, make in league_ladders.VARIANTS.items()}
    for name, experiment in {**experiments, **variants}.items():
        experiment["name"] = name
        share(experiment, budget)
    return ConfigDict(
        dict(
            name="League on the generated Earth",
            deterministic=True,
            members="all",
            seeds=(0,),
            ladders="none",
            ladder_seeds=(0, 1, 2, 3, 4),
            budget=budget,
            experiments=experiments,
            variants=variants,
            published=copy.deepcopy(league_ladders.PUBLISHED),
        )
    ).lock()
