"""Level 2 -> tied WCS: align the detectors of one exposure with the reference stars."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Measure the stars of all detectors, align them, write the tied WCS and the stars of each."""
    args = stage_arguments(
        __doc__, argv, "options", "images*", "psfs*", "reference_stars", "wcs*", "stars*"
    )
    from tessella.astrometry import align_image
    from tessella.astrometry.alignment import align_exposure
    from tessella.io.level2 import read_image, read_meta
    from tessella.io.provenance import provenance
    from tessella.io.references import read_effective_psf
    from tessella.io.stars import read_reference_stars, write_stars
    from tessella.io.wcs import write_wcs
    from tessella.psf.fit import measure_stars

    options = args.options
    search = options["search_radius_arcsec"], options["search_turn_arcsec"]
    # A turn about the middle of the instrument moves its corners, half a degree away.
    margin = search[0] + search[1] / 3600 * 40
    exposure = []
    for path, psf in zip(args.images, args.psfs, strict=True):
        image, about = read_image(path)
        model = read_effective_psf(psf)
        stars = measure_stars(image, model, options["threshold"], options["brightest"])
        radius = align_image.DETECTOR_RADIUS_DEG + margin / 3600
        near = image.attitude.ra_ref, image.attitude.dec_ref, radius
        references = read_reference_stars(args.reference_stars, about["start_time"], near)
        image = align_image.without_pixels(image)
        detector = align_image.detector_stars(image, stars, references, margin)
        exposure.append((image, stars, *detector))
    alignments = align_exposure(
        [detector for _, _, detector, _, _ in exposure],
        *search,
        options["match_radius_arcsec"],
        options["minimum_stars"],
    )
    files = zip(args.images, args.psfs, args.wcs, args.stars, strict=True)
    for (path, psf, wcs, table), measured, found in zip(files, exposure, alignments, strict=True):
        image, stars, _, *among = measured
        alignment = align_image.among_all(found, *among)
        logging.info(
            "%s: %s, %d stars, rms %.2f mas",
            path.name,
            alignment.status,
            alignment.n_used,
            alignment.rms_mas,
        )
        # Every detector has a part in where the exposure points.
        origin = provenance("align_exposures", options, [*args.images, psf, args.reference_stars])
        write_stars(table, image, alignment, stars, origin)
        write_wcs(wcs, image, read_meta(path), alignment, origin)


if __name__ == "__main__":
    main()
