"""Progress of a run that a person can follow: one line a job, and how much is left."""

from snakemake_logger_plugin_tessella.handler import LogHandler

__all__ = ["LogHandler"]
