"""The package broken on purpose, in one place at a time, to show that the tests notice."""
