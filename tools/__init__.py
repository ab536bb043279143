"""For people who work on the project: benchmarks, mutants, and the table of records."""
