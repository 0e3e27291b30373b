"""Make the catalogue of stars that exposures are aligned with, from a Gaia table."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the table, give it errors, scatter it by them if it is the truth itself, write it."""
    args = stage_arguments(__doc__, argv, "options", "table", "stars")
    from tessella.io.provenance import provenance
    from tessella.io.stars import read_gaia_table, write_reference_stars

    stars = read_gaia_table(args.table, args.options["epoch"])
    seed = args.options["scatter_seed"]
    if seed is not None:
        from tessella.astrometry.motion import scatter_by_errors

        stars = scatter_by_errors(stars, seed)
    origin = provenance("make_reference_stars", args.options, [args.table])
    write_reference_stars(args.stars, stars, origin)


if __name__ == "__main__":
    main()
