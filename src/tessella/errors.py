"""Errors that a person can act on."""


class DataError(Exception):
    """A file or a table does not hold what it must; the message says what, where and what would be right."""


class ConfigError(Exception):
    """A value of the configuration is not allowed; the message names file, key, value and what is allowed."""
