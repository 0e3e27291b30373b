"""L3 of one band + segmentation map -> table of the band: forced photometry of all sources."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Read one band, measure every source of the segmentation map in it, write its columns."""
    args = stage_arguments(
        __doc__, argv, "options", "mosaic", "segmentation", "encircled_energy", "psf*", "table"
    )
    from tessella.io.catalog import read_detection, write_band_table
    from tessella.io.level3 import read_mosaic
    from tessella.io.members import read_members
    from tessella.io.provenance import provenance
    from tessella.io.references import read_effective_psfs, read_encircled_energy
    from tessella.measurements import measure_band, measure_detection
    from tessella.photometry.band import EncircledEnergy, prepare_band
    from tessella.psf.coadd import coadd_psf

    mosaic = read_mosaic(args.mosaic)
    element = mosaic.optical_element
    members = read_members(args.mosaic)
    psfs = read_effective_psfs(args.psf)
    psf = coadd_psf(mosaic.lattice, members.views(), psfs, members.pixfrac)
    energy = EncircledEnergy(*read_encircled_energy(args.encircled_energy, element))
    detection = read_detection(args.segmentation, mosaic.lattice)
    detected, _ = measure_detection(detection)
    band = prepare_band(mosaic, detection, energy, psf, **args.options)
    columns, seconds = measure_band(band, detected)
    logging.info("%s: %d sources; CPU s %s", element, len(detection.labels), seconds)
    made_from = [args.mosaic, args.segmentation, args.encircled_energy, *args.psf]
    origin = provenance("measure_sources", args.options, made_from)
    write_band_table(args.table, element, detection.labels, columns, origin)


if __name__ == "__main__":
    main()
