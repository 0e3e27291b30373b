"""L3 of one band + segmentation map -> table of the band: forced photometry of all sources."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Read one band, measure every source of the segmentation map in it, write its columns."""
    args = stage_arguments(
        __doc__, argv, "options", "mosaic", "segmentation", "encircled_energy", "psf*",
        "reference", "reference_psf*", "table",
    )  # fmt: skip
    from dataclasses import replace

    from tessella.io.bands import read_band
    from tessella.io.catalog import write_band_table
    from tessella.io.provenance import provenance
    from tessella.measurements import measure_band, measure_detection

    def read(mosaic, psfs):
        return read_band(mosaic, args.segmentation, args.encircled_energy, psfs, args.options)

    band = read(args.mosaic, args.psf)
    if args.reference != args.mosaic:
        band = replace(band, reference=read(args.reference, args.reference_psf))
    detected, _ = measure_detection(band.detection)
    columns, seconds = measure_band(band, detected)
    element, labels = band.optical_element, band.detection.labels
    logging.info("%s: %d sources; CPU s %s", element, len(labels), seconds)
    made_from = [
        args.mosaic, args.segmentation, args.encircled_energy, *args.psf, args.reference,
        *args.reference_psf,
    ]  # fmt: skip
    origin = provenance("measure_sources", args.options, made_from)
    write_band_table(args.table, element, labels, columns, origin)


if __name__ == "__main__":
    main()
