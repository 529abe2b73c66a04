import pytest

from tests.mutants.copies import ROOT, changed
from tests.mutants.table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutation_changes_one_place_of_its_file(mutant):
    source = (ROOT / "anomdiff" / mutant.file).read_text()

    compile(changed(source, mutant), mutant.file, "exec")


def test_names_of_mutants_differ_and_there_are_enough():
    names = {mutant.name for mutant in MUTANTS}

    assert len(names) == len(MUTANTS) >= 25


def test_a_text_that_is_gone_is_an_error():
    with pytest.raises(ValueError, match=r"once in .*; got 0"):
        changed("something else", MUTANTS[0])
