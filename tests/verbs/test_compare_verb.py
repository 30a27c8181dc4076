import csv

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nasrun.errors import ConfigError
from nasrun.record.rows import TRIAL_COLUMNS
from nasrun.verbs import perform


def write(folder, algorithm, rewards, task="cifar10", first=0, **cells):
    """A folder whose trials have these rewards, by seed."""
    folder.mkdir(exist_ok=True)
    base = {
        "space": "nb201", "search_task": task, "task": task, "algorithm": algorithm,
        "metric": "accuracy_pct", "split": "s", "fidelity": "val@12", "run": "mean", "clock": "c",
        "meta": "none", "final": "f", "evaluations": 50, **cells,
    }  # fmt: skip
    with (folder / "trials.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, TRIAL_COLUMNS, restval="")
        writer.writeheader()
        for seed, reward in enumerate(rewards, first):
            writer.writerow({**base, "seed": seed, "reward": reward, "arch": f"a{reward}"})
    return folder


@pytest.fixture
def compare(tmp_path, capsys):
    def call(first, second):
        assert perform(["compare", str(first), str(second)]) == 0
        return capsys.readouterr().out

    return call


def test_differences_are_those_of_trials_with_the_same_seed(compare, tmp_path):
    ours, theirs = [90.0, 91, 92, 93, 94, 95, 96], [89.0, 90.5, 92, 91, 93, 92, 95]
    answer = compare(
        write(tmp_path / "a", "rea", ours), write(tmp_path / "b", "random", [*theirs, 99])
    )
    assert "cifar10: 7 trials of each" in answer
    assert f"{np.subtract(theirs, ours).mean():+.2f}" in answer
    p = wilcoxon(theirs, ours, zero_method="pratt").pvalue
    assert f"rea is better in reward (p = {p:.4f}" in answer
    wins = np.mean([(a > b) + (a == b) / 2 for a in ours for b in theirs])
    assert f"probability of improvement {wins:.2f})" in answer
    assert "1 of 7 trials found the same architecture" in answer
    assert "left out: 1 trials whose seeds only one of them has" in answer


def test_the_better_one_is_the_one_that_the_test_says(compare, tmp_path):
    """Eleven of twelve pairs go up; one outlier makes the unpaired chance .458 the other way."""
    ours = [*(10.0 * n for n in range(11)), 200.0]
    theirs = [*(reward + 1 for reward in ours[:-1]), -100.0]
    answer = compare(write(tmp_path / "a", "rea", ours), write(tmp_path / "b", "random", theirs))
    p = wilcoxon(theirs, ours, zero_method="pratt").pvalue
    assert p < 0.05
    assert f"random is better in reward (p = {p:.4f}" in answer
    assert "probability of improvement 0.46)" in answer


def test_other_budgets_are_named(compare, tmp_path):
    rewards = [90.0, 91.0, 93.0]
    folders = [
        write(tmp_path / name, "rea", rewards, evaluations=count)
        for name, count in (("a", 50), ("b", 1200))
    ]
    assert "not alike: 50 and 1,200 evaluations a trial" in compare(*folders)
    assert "not alike" not in compare(folders[0], write(tmp_path / "c", "rea", rewards))


def test_one_algorithm_in_two_folders_is_told_apart(compare, tmp_path):
    for name, population in (("a", 5), ("b", 9)):
        write(tmp_path / name, "rea", [reward + population for reward in range(90, 97)])
        (tmp_path / name / ".hydra").mkdir()
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(
            f"- algorithm.population={population}\n"
        )
    answer = compare(tmp_path / "a", tmp_path / "b")
    assert "rea[population=9] is better in reward" in answer


def test_equal_runs_are_told_by_their_folders(compare, tmp_path):
    first, second = (write(tmp_path / name, "rea", [90, 91, 92]) for name in "ab")
    answer = compare(first, second)
    assert "3 of 3 trials found the same architecture" in answer
    assert "the rewards are the same, trial by trial" in answer


def test_other_protocols_are_named(compare, tmp_path):
    answer = compare(
        write(tmp_path / "a", "rea", [90, 91]),
        write(tmp_path / "b", "rea", [92, 93], fidelity="val@200"),
    )
    assert "not alike: fidelity is 'val@12' and 'val@200'" in answer
    assert "no difference in reward that chance would not make" in answer


def test_trials_of_one_agent_count_once(compare, tmp_path):
    first = write(tmp_path / "a", "catch", [90, 91] * 4)
    second = write(tmp_path / "b", "rea", [92, 94] * 4)
    assert "rea is better in reward" in compare(first, second)
    (first / "status.json").write_text('{"state": "complete"}')
    (first / "provenance.json").write_text('{"meta": {"agents": 2, "cost_s": null}}')
    answer = compare(first, second)
    assert "no difference in reward that chance would not make (p = 0.5000)" in answer
    assert "trials of one meta-trained agent count once" in answer


def test_what_one_folder_alone_has_is_named(compare, tmp_path):
    first = write(tmp_path / "a", "rea", [90, 91])
    lines = (first / "trials.csv").read_text().splitlines()
    more = [line.replace("rea", "tpe") for line in lines[1:]]
    more += [line.replace("cifar10", "svhn") for line in lines[1:]]
    (first / "trials.csv").write_text("\n".join([*lines, *more, ""]))
    second = write(tmp_path / "b", "rea", [92, 93])
    found = f"as {first} alone has it: tpe on cifar10 in nb201, rea on svhn in nb201"
    for folders in ((first, second), (second, first)):
        assert found in compare(*folders)
    assert "alone" not in compare(second, write(tmp_path / "c", "tpe", [92, 93]))


def test_trials_without_a_reward_are_counted(compare, tmp_path):
    first = write(tmp_path / "a", "rea", [90, "", 91])
    answer = compare(first, write(tmp_path / "b", "random", [92, 93, 94]))
    assert "left out: 1 trials of rea that ended without a reward" in answer
    assert "trials of random" not in answer


def test_what_has_nothing_in_common_is_refused(compare, tmp_path):
    first = write(tmp_path / "a", "rea", [90])
    with pytest.raises(ConfigError, match="one searched cifar10 in nb201, the other cifar100"):
        compare(first, write(tmp_path / "b", "rea", [90], task="cifar100"))
    with pytest.raises(ConfigError, match="no seed in common"):
        compare(first, write(tmp_path / "b", "rea", [90], first=7))
    with pytest.raises(ConfigError, match="name two"):
        compare(first, first)
