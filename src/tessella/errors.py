"""Errors that a person can act on."""


class DataError(Exception):
    """A file or a table is not as it must be; the message says what, where and what is right."""


class ConfigError(Exception):
    """A value is not allowed; the message names file, key, value and what is allowed."""
