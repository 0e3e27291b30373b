"""Plan -> the association of one tile and filter, for official tools."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Write which images the coadd of a tile is planned from."""
    args = stage_arguments(
        __doc__, argv, "lattice:json", "program:int", "members:json", "association"
    )
    from tessella.io.association import write_association
    from tessella.io.provenance import provenance
    from tessella.models import Lattice

    told = {"lattice": args.lattice, "program": args.program, "members": args.members}
    write_association(
        args.association,
        args.members,
        Lattice(**args.lattice),
        args.program,
        provenance("write_association", told, []),
    )


if __name__ == "__main__":
    main()
