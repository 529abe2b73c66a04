"""Mutations of the assembly: wrong constants, components left out, signs turned, splits that leak.

``python -m tests.mutants`` applies them one by one in a copy of the repository and runs the quick
tests there; a mutant that no test kills is a rule that no test states. ``table.py`` lists them,
``copies.py`` applies and tests them. The old texts have to occur once in their file, which
``test_table.py`` checks: whoever rewrites such a line rewrites its mutation too.
"""
