"""The instrument's numbers, each in one place, with its source."""
