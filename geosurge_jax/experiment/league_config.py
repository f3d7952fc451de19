"""The typed form of a league's config file: experiments, seeds, and what was published of their steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.experiment.config_types import ConfigError, from_mapping
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse


@dataclass(frozen=True)
class Budget:
    """What all experiments of a league share; the config file refers to these fields from each of them.

    Attributes:
        directory: where the data set is made and looked for.
        photos: of the generated planet.
        side: of a photo, in pixels.
        tower: size of the image tower, such as "nano".
        patch: of the image tower, in pixels.
        batch_size: photos of a batch.
        steps: training steps.
    """

    directory: str
    photos: int
    side: int
    tower: str
    patch: int
    batch_size: int
    steps: int


@dataclass(frozen=True)
class Direction:
    """A published comparison of two steps.

    Attributes:
        better: experiment that was published as the better one.
        worse: the other.
        radii_km: where.
        source: publication and its figures.
    """

    better: str
    worse: str
    radii_km: tuple[float, ...]
    source: str


@dataclass(frozen=True)
class Ladder:
    """Experiments that differ in one thing.

    Attributes:
        steps: experiments, in the order of the table.
        directions: what was published of them.
    """

    steps: tuple[str, ...]
    directions: tuple[Direction, ...]


@dataclass(frozen=True)
class League:
    """A league as it will be run.

    Attributes:
        name: for titles.
        budget: what all share.
        members: experiments of the main table.
        seeds: of the members.
        ladders: by name.
        ladder_seeds: of the ladders' steps.
        experiments: config mapping of each member and of each step.
        typed: the same, parsed.
    """

    name: str
    budget: Budget
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    ladders: Mapping[str, Ladder]
    ladder_seeds: tuple[int, ...]
    experiments: Mapping[str, Mapping[str, Any]]
    typed: Mapping[str, ExperimentConfig]

    def runs(self) -> list[tuple[str, int]]:
        """(experiment, seed) of every run, each once, the first seed of all before the second of any."""
        steps = [step for ladder in self.ladders.values() for step in ladder.steps]
        asked = {
            **{(name, seed): None for name in self.members for seed in self.seeds},
            **{(name, seed): None for name in steps for seed in self.ladder_seeds},
        }
        return sorted(asked, key=lambda run: run[1])


KEYS = (
    "name", "deterministic", "members", "seeds", "ladders", "ladder_seeds", "budget", "experiments",
    "variants", "published",
)  # fmt: skip


@dataclass(frozen=True)
class _Choice:
    """The part of the config file that says what to run."""

    name: str
    deterministic: bool
    members: str
    seeds: tuple[int, ...]
    ladders: str
    ladder_seeds: tuple[int, ...]
    budget: Budget


def parse_league(config: Mapping[str, Any]) -> League:
    """Turns a league's config file into its typed form, every experiment that will run included.

    Args:
        config: keys `KEYS`. `experiments` holds the config of each system, `variants` those of further
            ladder steps, `published` the ladders by name. `members` and `ladders` are "all", "none", or
            names separated by commas.

    Raises:
        ConfigError, ValueError: one line that names the key, the value and what was expected.
    """
    if set(config) != set(KEYS):
        raise ConfigError(
            f"config: unknown keys {sorted(set(config) - set(KEYS))}, missing keys "
            f"{sorted(set(KEYS) - set(config))}"
        )
    choice = from_mapping(
        _Choice,
        {key: config[key] for key in KEYS[:7]},
        "config",
    )
    published = {
        name: from_mapping(Ladder, ladder, f"config.published.{name}")
        for name, ladder in config["published"].items()
    }
    members = _chosen("members", choice.members, list(config["experiments"]))
    ladders = {
        name: published[name] for name in _chosen("ladders", choice.ladders, list(published))
    }
    known = {**config["experiments"], **config["variants"]}
    for name, ladder in ladders.items():
        _check_ladder(f"config.published.{name}", ladder, known)
    for key, names, seeds in (
        ("seeds", members, choice.seeds),
        ("ladder_seeds", ladders, choice.ladder_seeds),
    ):
        if names and (not seeds or len(set(seeds)) < len(seeds)):
            raise ConfigError(f"config.{key}={seeds!r}: expected at least one, each once")
    if not members and not ladders:
        raise ConfigError("config.members='none', config.ladders='none': expected some of either")
    used = dict.fromkeys([*members, *(step for each in ladders.values() for step in each.steps)])
    return League(
        name=choice.name,
        budget=choice.budget,
        members=tuple(members),
        seeds=choice.seeds,
        ladders=ladders,
        ladder_seeds=choice.ladder_seeds,
        experiments={name: known[name] for name in used},
        typed={name: _parse_experiment(name, known[name]) for name in used},
    )


def _chosen(key: str, text: str, names: list[str]) -> list[str]:
    if text in ("all", "none"):
        return names if text == "all" else []
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in names:
            raise ConfigError(
                f"config.{key}={text!r}: {name!r} is none of {', '.join(names)}; expected these, "
                "'all' or 'none'"
            )
    return list(dict.fromkeys(chosen))


def _check_ladder(key: str, ladder: Ladder, known: Mapping[str, Any]) -> None:
    for step in ladder.steps:
        if step not in known:
            raise ConfigError(f"{key}.steps: {step!r}: expected one of {', '.join(known)}")
    for direction in ladder.directions:
        for step in (direction.better, direction.worse):
            if step not in ladder.steps:
                raise ConfigError(
                    f"{key}.directions: {step!r}: expected a step of the ladder, {', '.join(ladder.steps)}"
                )


def _parse_experiment(name: str, raw: Mapping[str, Any]) -> ExperimentConfig:
    try:
        return parse(raw)
    except ValueError as error:
        raise ConfigError(f"experiment {name!r}: {error}") from None
