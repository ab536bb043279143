"""The table of records, its pictures, and what was tried on the way."""
