"""Gaia stars, drawn sources and a user's -> the truth table that the simulator observes."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the Gaia table and the user's sources, draw the scene around them, write the truth."""
    args = stage_arguments(__doc__, argv, "options", "stars", "catalogue:json", "truth")
    from astropy.time import Time

    from tessella.errors import DataError
    from tessella.io.provenance import provenance
    from tessella.io.source_catalogues import read_sources
    from tessella.io.stars import read_gaia_field, write_truth
    from tessella.simulate.scene import Field, draw_scene

    options = args.options
    first, last = (
        float(Time(options[name], scale="utc").mjd) for name in ("first_start", "last_start")
    )
    field = Field(**options["field"], first_mjd=first, last_mjd=last)
    given = [read_sources(path, options["filters"], first) for path in args.catalogue]
    # The corner of the square.
    radius = 1.5 * field.half_width_arcsec / 3600
    stars = read_gaia_field(args.stars, options["catalogue_epoch"], field.ra, field.dec, radius)
    try:
        scene = draw_scene(field, *stars, options["seed"], *given)
    except ValueError as error:
        raise DataError(f"the configured scene cannot be drawn: {error}") from error
    write_truth(args.truth, scene, provenance("make_truth", options, [args.stars, *args.catalogue]))


if __name__ == "__main__":
    main()
