"""Level 2 -> final WCS: align the detectors of one exposure with the reference stars."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Measure stars, align, write the final WCS and the stars of each detector."""
    args = stage_arguments(
        __doc__, argv, "options", "images*", "psfs*", "reference_stars", "wcs*", "stars*"
    )
    from tessella.astrometry.align_image import align_image
    from tessella.io.level2 import read_image, read_meta
    from tessella.io.provenance import provenance
    from tessella.io.references import read_effective_psf
    from tessella.io.stars import read_reference_stars, write_stars
    from tessella.io.wcs import write_wcs

    for path, psf, wcs, stars in zip(args.images, args.psfs, args.wcs, args.stars, strict=True):
        image, about = read_image(path)
        references = read_reference_stars(args.reference_stars, about["start_time"])
        alignment, measured = align_image(image, read_effective_psf(psf), references, args.options)
        logging.info(
            "%s: %s, %d stars, rms %.2f mas",
            path.name,
            alignment.status,
            alignment.n_used,
            alignment.rms_mas,
        )
        origin = provenance("align_exposures", args.options, [path, psf, args.reference_stars])
        write_stars(stars, image, alignment, measured, origin)
        write_wcs(wcs, image, read_meta(path), alignment, origin)


if __name__ == "__main__":
    main()
