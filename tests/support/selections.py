"""Selected rows of a run as one table."""

from pipeline.curation import open_selection


def select_rows(run, *args, **options):
    with open_selection(run, *args, **options) as selection:
        return selection.to_table()
