"""Calibration references as files: written, chosen, read."""

from tessella.io.references.reading import (
    read_effective_psf,
    read_effective_psfs,
    read_encircled_energy,
    read_references,
)
from tessella.io.references.selection import (
    named_from,
    read_context,
    read_selection,
    write_selection,
)
from tessella.io.references.writing import (
    ReferenceHeader,
    write_converter,
    write_dark_decay,
    write_effective_psf,
    write_encircled_energy,
    write_maps,
    write_noise_weights,
    write_photometry,
    write_reference,
)

__all__ = [
    "ReferenceHeader",
    "named_from",
    "read_context",
    "read_effective_psf",
    "read_effective_psfs",
    "read_encircled_energy",
    "read_references",
    "read_selection",
    "write_converter",
    "write_dark_decay",
    "write_effective_psf",
    "write_encircled_energy",
    "write_maps",
    "write_noise_weights",
    "write_photometry",
    "write_reference",
    "write_selection",
]
