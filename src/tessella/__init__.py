"""From the telemetry of the Roman Wide Field Instrument to catalogs."""

__version__ = "0.1.0"
