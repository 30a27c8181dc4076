"""Small sweeps for the report's tests."""

import csv
import json
from pathlib import Path

COLUMNS = (
    "space", "search_task", "task", "algorithm", "seed", "arch", "reward", "metric",
    "val_score", "test_score", "latency_ms", "params_m", "flops_m", "evaluations", "simulated_s",
    "wall_s", "rank", "failed", "split", "fidelity", "run", "clock", "meta", "final",
)  # fmt: skip


def row(algorithm, seed, test, task="cifar10", search_task=None, **cells):
    values = {
        "space": "nb201", "search_task": search_task or task, "task": task, "algorithm": algorithm,
        "seed": seed, "arch": "a", "metric": "accuracy_pct", "test_score": test, "rank": 1 + seed,
        "split": "s",
        "fidelity": "val@12", "run": "mean", "clock": "c", "meta": "none", "final": "f",
    }  # fmt: skip
    return [{**values, **cells}.get(column, "") for column in COLUMNS]


def write_trials(folder: Path, rows) -> Path:
    path = folder / "trials.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])
    return path


def sweep(folder: Path, figures, task="cifar10") -> Path:
    """A sweep of one task from ``{algorithm: [test accuracies by seed]}``."""
    rows = [row(name, seed, x, task) for name, xs in figures.items() for seed, x in enumerate(xs)]
    return write_trials(folder, rows)


def job(
    folder: Path, algorithm, rewards, epochs=None, meta=None, state="complete", first_seed=0,
    metric="accuracy_pct",
):  # fmt: skip
    """A job's folder from the rewards of each trial's measurements, which take an hour each."""
    folder.mkdir(parents=True)
    seeds = range(first_seed, first_seed + len(rewards))
    write_trials(folder, [row(algorithm, s, r[-1]) for s, r in zip(seeds, rewards, strict=True)])
    with (folder / "evaluations.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["seed", "step", "epochs", "metric", "val_score", "reward", "clock_s"])
        for seed, trial in zip(seeds, rewards, strict=True):
            for step, reward in enumerate(trial):
                length = epochs[step] if epochs else 12
                score = reward if metric == "accuracy_pct" or reward == "" else -reward
                hours = 3600 * (step + 1)
                writer.writerow([seed, step, length, metric, score, reward, hours])
    (folder / "status.json").write_text(json.dumps({"state": state}))
    (folder / "provenance.json").write_text(json.dumps({"meta": meta}))
    return folder
