"""A league: real tiny runs in this process, one of which fails; a second start; what the report says."""

import copy
import json
import re
import signal

import pytest

from configs import league as league_file
from configs import league_ladders
from geosurge_jax.command_end import NegativeAnswer
from geosurge_jax.experiment import league, league_report, train
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.league_config import Direction, parse_league
from geosurge_jax.experiment.league_runs import Facts, Failed, Finished
from geosurge_jax.experiment.league_statistics import judge, over_seeds
from geosurge_jax.experiment.league_tables import cell
from geosurge_jax.training.stopping import StoppedError


def tiny(directory, **fields):
    """The real file's tiny league with one small member, and one that has no geocell left."""
    config = league_file.get_config("tiny").to_dict()
    small = config["variants"]["geosurge_no_fusion"]
    small["data"]["directory"] = str(directory)
    small["training"]["steps"] = small["training"]["evaluate_every"] = 3
    crashing = copy.deepcopy(small)
    crashing["geocells"]["min_images"] = 10_000
    config["experiments"] = {"crashing": crashing, "small": small}
    return {**config, **fields}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("league")


@pytest.fixture(scope="module")
def error(place):
    """What the first start ends with."""
    with pytest.raises(NegativeAnswer) as raised:
        league.run(tiny(place / "datasets"), place / "work")
    return str(raised.value)


def record(place):
    return json.loads((place / "work" / "league.json").read_text())


def test_a_member_that_fails_is_named_and_the_rest_goes_on(place, error):
    assert error.startswith("1 of 2 runs failed: crashing, seed 0: ") and "\n" not in error
    runs = {(run["experiment"], run["seed"]): run for run in record(place)["runs"]}
    assert {key: run["status"] for key, run in runs.items()} == {
        ("crashing", 0): "failed",
        ("small", 0): "finished",
    }
    assert runs["crashing", 0]["error"] in error
    failure = place / "work" / "runs" / "crashing" / "seed-0" / "failure.txt"
    assert "Traceback" in failure.read_text()
    own = place / "work" / "runs" / "small" / "seed-0"
    assert json.loads((own / "run.json").read_text())["config"]["seed"] == 0
    assert (own / "report.html").exists() and (own / "scores.json").exists()


def test_the_report_holds_the_runs_and_the_failure(place, error):
    text = (place / "work" / "report.md").read_text()
    headings = re.findall("^## (.*)$", text, re.MULTILINE)
    assert headings == [
        "planet/test: accuracy",
        "planet/test: posteriors",
        "planet/test: what each decision adds",
        "Cost",
        "Failed runs",
        "Shared by all",
    ]
    scores = place / "work" / "runs" / "small" / "seed-0" / "scores.json"
    found = json.loads(scores.read_text())["planet/test"]["scores"]["mean_km"]
    assert f"| {found['value']:.0f} ({found['low']:.0f}–{found['high']:.0f}) |" in text
    noted = record(place)["results"]["planet/test"]["small"]["mean_km"]
    assert noted == {
        "mean": found["value"], "spread": None, "low": found["low"], "high": found["high"], "seeds": 1,
    }  # fmt: skip
    assert "| — training density |" in text and "| small | geoscore |" in text
    assert "| crashing | 0 | " in text and "2, of which 1 finished and 1 failed" in text


def test_costs_are_those_of_the_system(place, error):
    (facts,) = {
        (run["facts"]["trained"], run["facts"]["frozen"], run["facts"]["forward_flops"])
        for run in record(place)["runs"]
        if run["status"] == "finished"
    }
    layout = (place / "work" / "runs" / "small" / "seed-0" / "layout.txt").read_text()
    assert f"{facts[0]:,}" in (place / "work" / "report.md").read_text() and layout
    assert facts[0] > 10_000 and facts[1] == 0 and facts[2] > 10_000
    for run in record(place)["runs"]:
        if run["status"] == "finished":
            assert run["facts"]["training_photos_per_second"] > 0
            assert run["facts"]["posterior_photos_per_second"] > 0


def test_a_second_start_runs_what_failed_alone(place, error, monkeypatch):
    started = []

    def note(raw, directory):
        started.append(directory.relative_to(place / "work").as_posix())
        raise StoppedError(signal.SIGTERM)

    monkeypatch.setattr(train, "run", note)
    with pytest.raises(StoppedError):
        league.run(tiny(place / "datasets", members="small,crashing"), place / "work")
    assert started == ["runs/crashing/seed-0"]
    # The stopped league has noted what it had reached, and what is left.
    status = [run["status"] for run in record(place)["runs"]]
    assert status == ["waiting", "finished"] or status == ["finished", "waiting"]
    league.run(tiny(place / "datasets", members="small"), place / "work")
    assert started == ["runs/crashing/seed-0"]
    assert [run["status"] for run in record(place)["runs"]] == ["finished"]


def test_another_budget_in_the_same_workdir_is_refused(place, error):
    config = tiny(place / "datasets", members="small")
    config["experiments"]["small"]["training"]["steps"] = 5
    with pytest.raises(NegativeAnswer, match="belongs to another config.*training.steps: 3 -> 5"):
        league.run(config, place / "work")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"members": "small,geoclop"},
            "config.members='small,geoclop': 'geoclop' is none of crash",
        ),
        ({"ladders": "levels"}, "config.ladders='levels': 'levels' is none of geoclip_capsules"),
        ({"seeds": (1, 1)}, r"config.seeds=\(1, 1\): expected at least one, each once"),
        ({"members": "none"}, "config.members='none', config.ladders='none': expected some"),
        ({"seed": 1}, r"config: unknown keys \['seed'\]"),
        ({"budget": {"steps": 1}}, "config.budget.directory: missing"),
        ({"ladders": "all"}, "'geoclip': expected one of crashing, small"),
    ],
)
def test_wrong_leagues_are_met_with_one_line(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        league.run(tiny(tmp_path, **fields), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_wrong_experiment_is_named_before_anything_runs(tmp_path):
    config = tiny(tmp_path)
    config["experiments"]["small"]["evaluation"]["decisions"] = ("best",)
    with pytest.raises(
        ConfigError, match="experiment 'small': config.evaluation.decisions=.*'best'"
    ):
        league.run(config, tmp_path / "work")


@pytest.mark.parametrize("variant", league_file.BUDGETS)
def test_every_experiment_of_the_file_parses_and_follows_the_budget(variant):
    config = league_file.get_config(variant)
    config.ladders, config.budget.steps, config.budget.side = "all", 123, 128
    parsed = parse_league(config.to_dict())
    assert set(parsed.typed) == {*league_file.MEMBERS, *league_ladders.VARIANTS}
    for experiment in parsed.typed.values():
        assert experiment.training.steps == experiment.training.evaluate_every == 123
        assert experiment.system.visual.preprocessing.image_size == experiment.data.size == 128


def test_runs_go_seed_by_seed_and_shared_ones_once():
    config = league_file.get_config("tiny")
    config.ladders, config.seeds, config.ladder_seeds = "geosurge_targets", (0, 7), (0, 1)
    runs = parse_league(config.to_dict()).runs()
    assert [seed for _, seed in runs] == sorted(seed for _, seed in runs)
    assert runs.count(("geosurge", 0)) == 1 and ("geosurge", 7) in runs
    assert ("geosurge_class_targets", 1) in runs and ("geosurge_class_targets", 7) not in runs


def finished(name, seed, share):
    estimate = {"value": 0.0, "low": None, "high": None}
    scores = {
        "radii_km": [25.0],
        "scores": {
            "accuracy": [{**estimate, "value": share}],
            **dict.fromkeys(("median_km", "mean_km", "geoscore"), estimate),
        },
    }
    return Finished(name, seed, {"test": scores}, Facts(1, 0, 1, 1, 1.0, 1.0))


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.04, 0.05, 0.06), "agrees"),
        ((-0.04, -0.05, -0.06), "disagrees"),
        ((0.10, -0.05, 0.02), "undecided"),
        ((0.10,), "undecided"),
        ((), "undecided"),
    ],
)
def test_a_direction_is_judged_by_pairs_of_the_same_seed(differences, verdict):
    """Seeds differ by far more than the steps do: only pairs tell them apart."""
    runs = [finished("one", 9, 0.99)]
    for seed, difference in enumerate(differences):
        runs += [finished("one", seed, 0.2 * seed + 0.1 + difference)]
        runs += [finished("two", seed, 0.2 * seed + 0.1)]
    (outcome,) = judge(Direction("one", "two", (25.0,), "paper"), runs, "test")
    assert outcome.verdict == verdict and outcome.seeds == len(differences)
    if len(differences) == 3 and verdict == "agrees":
        # 0.05 +- t(2) * 0.01 / sqrt(3), t(2) = 4.303
        assert outcome.difference == pytest.approx(0.05)
        assert outcome.margin == pytest.approx(4.303 * 0.01 / 3**0.5)


def test_numbers_over_seeds_are_means_with_their_spread():
    estimates = [
        {"value": value, "low": value - 1.0, "high": value + 3.0} for value in (1.0, 2.0, 6.0)
    ]
    number = over_seeds(estimates)
    assert (number.mean, number.low, number.high, number.seeds) == (3.0, 2.0, 6.0, 3)
    assert number.spread == pytest.approx(7**0.5)  # (4 + 1 + 9) / (3 - 1)
    assert cell(number) == "3.0 ± 2.6 (2.0–6.0)"
    assert cell(number, scale=10, digits=0, interval=False) == "30 ± 26"


def test_a_league_without_results_still_reports(tmp_path):
    parsed = parse_league(tiny(tmp_path, members="crashing"))
    league_report.write(tmp_path, parsed, {("crashing", 0): Failed("crashing", 0, "no luck")})
    assert "| crashing | 0 | no luck |" in (tmp_path / "report.md").read_text()
