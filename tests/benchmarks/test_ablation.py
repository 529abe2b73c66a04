import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff.metrics.detection import auroc
from benchmarks.tables import ablation
from benchmarks.tables.ablation import combined, filled, main, measure, variants
from benchmarks.tables.protocols import read_split
from benchmarks.tables.reading import find_sets
from tests.benchmarks.labelled import labelled_table
from tests.settings import TINY

WITHOUT_RANKS = ["low noise", "middle noise", "high noise", "distance (z)", "local distance (z)"]
WITHOUT_RANKS += ["subspaces (z)", "parts"]


@pytest.fixture
def sets(tmp_path):
    """Two sets, of numbers and of flags: flags have no ranks."""
    folder = tmp_path / "adbench"
    folder.mkdir()
    for number, name in enumerate(["numbers", "flags"]):
        table = labelled_table(n_normal=100, seed=number)
        rows = np.abs(table.rows) > 1 if name == "flags" else table.rows
        np.savez(folder / f"{number}_{name}.npz", X=rows, y=table.anomalous.astype(int))
    return folder


def test_a_component_left_out_has_no_weight_and_the_others_keep_theirs(fitted):
    weights, names = np.array(fitted.model_.calibration.weights), fitted.model_.ensemble.names

    found = {name: np.array(each.weights) for name, each in variants(fitted.model_).items()}

    for i, name in enumerate(names):
        expected = weights.copy()
        expected[i] = 0
        np.testing.assert_allclose(found[f"without {name}"], expected / expected.sum())


def test_the_network_alone_is_its_three_noises(fitted):
    found = {name: np.array(each.weights) for name, each in variants(fitted.model_).items()}

    names, alone = np.array(fitted.model_.ensemble.names), found["network alone"]
    assert names[alone > 0].tolist() == ["low noise", "middle noise", "high noise"]
    assert names[found["without the network"] == 0].tolist() == names[alone > 0].tolist()


def test_components_without_weight_do_not_take_part_in_the_maximum(fitted):
    calibration = replace(fitted.model_.calibration, weights=[0.5, 0.0, 0.5])
    low, left_out, high = torch.tensor([-3.0]), torch.tensor([9.0]), torch.tensor([-1.0])

    score = combined(calibration, [low, left_out, high])

    share = calibration.maximum_share
    assert share > 0
    assert score.item() == pytest.approx(-2 * (1 - share) - share)


def test_everything_is_the_score_of_the_detector(sets):
    dataset = find_sets("adbench", sets)[0]

    found = {variant: figure for _, _, variant, figure, _ in measure(dataset, 0, TINY)}

    split = read_split(dataset, "shuffled", 1000, 1000, 0)
    detector = ablation.tabular(0, TINY).fit(split.train)
    scores = detector.score_frame(split.test)["anomaly_score"]
    assert found["everything"] == auroc(split.anomalous, scores)


def test_what_a_set_does_not_have_changes_nothing_there():
    rows = [("a", 0, "everything", 0.9, 0.8), ("a", 0, "without parts", 0.7, 0.6)]
    rows += [("b", 0, "everything", 0.5, 0.4)]

    table = filled(pd.DataFrame(rows, columns=ablation.COLUMNS))

    assert table.iloc[3].tolist() == ["b", 0, "without parts", 0.5, 0.4]
    assert table.iloc[:3].to_numpy().tolist() == [list(row) for row in rows]


def test_the_command_writes_every_variant_of_every_set(sets, tmp_path, capsys):
    command = ["--suite", "adbench", "--data", str(sets), "--out", str(tmp_path / "out.csv")]

    main([*command, "--processes", "1", "--params", json.dumps(TINY)])

    results = pd.read_csv(tmp_path / "out.csv")
    of_set = dict(list(results.groupby("set")["variant"]))
    assert of_set["0_numbers"].tolist() == of_set["1_flags"].tolist()
    assert len(of_set["0_numbers"]) == 5 + 10
    assert "sets 2" in capsys.readouterr().out


def test_flags_have_no_components_of_ranks(sets):
    flags = find_sets("adbench", sets)[1]

    found = [variant for _, _, variant, _, _ in measure(flags, 0, TINY)]

    assert found[-1] == "without the maximum"
    assert [name.removeprefix("without ") for name in found[4:-1]] == WITHOUT_RANKS
