from benchmarks.systems import row_cost
from tests.settings import TINY


def test_every_part_of_the_score_and_both_wholes_have_a_cost():
    figures = row_cost.measure(100, 50, 3, repeats=1, seed=0, params={**TINY, "alpha": 0.1})

    network = ["low noise", "middle noise", "high noise"]
    searches = ["nearest 1", "nearest 2", "subsets 1", "subsets 2", "subsets 3"]
    answers = ["explain", "repair"]
    wholes = ["calibration", "whole", "isolation forest"]
    assert list(figures["part"]) == ["encoding", *network, *searches, *wholes, *answers]
    assert (figures["us_per_row"] > 0).all()
