"""Plan -> the table of images that are left out of groups, with the reasons."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read what the plan leaves out, and write it as a table."""
    args = stage_arguments(__doc__, argv, "options", "plan", "table")
    from tessella.io.exclusions import write_exclusions
    from tessella.io.provenance import provenance
    from tessella.plan.build import read_exclusions

    origin = provenance("list_exclusions", args.options, [])
    write_exclusions(args.table, [vars(one) for one in read_exclusions(args.plan)], origin)


if __name__ == "__main__":
    main()
