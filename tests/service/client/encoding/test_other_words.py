"""Words that the model takes as "other" are counted column by column."""

from service.client.encoding.other_words import OtherWords


def test_cells_and_columns_are_told_with_the_first_cell() -> None:
    """Nothing where there was none; one line with number and example else."""
    others = OtherWords()
    others.add("town", [])
    assert (others.cells, others.summary()) == (0, "")
    others.add("town", ["Rom, \n Italy"])
    assert others.summary().startswith("1 cell of 1 column holds a word that the model does not know")
    others.add("kind", [None, 7])
    assert others.cells == 3
    assert others.summary().startswith("3 cells of 2 columns hold words that the model does not know")
    assert others.summary().endswith('taken as other; the first is "Rom, \\n Italy" in column "town"')
