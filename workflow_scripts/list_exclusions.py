"""Plan and astrometry -> the table of images that are left out of groups, with the reasons."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read what the plan leaves out, and what the regions' solutions do; write both as a table."""
    args = stage_arguments(__doc__, argv, "options", "plan", "astrometry:json", "table")
    from tessella.io.astrometry_solution import read_left_out
    from tessella.io.exclusions import write_exclusions
    from tessella.io.provenance import provenance
    from tessella.plan.build import read_plan
    from tessella.plan.quality_cuts import lost_images

    plan = read_plan(args.plan)
    left_out = {region: read_left_out(path) for region, path in args.astrometry.items()}
    members = (
        (patch.grouping, f"{patch.region:04d}", *pair, element)
        for patch in plan.patches.values()
        for element, pairs in patch.members.items()
        for pair in pairs
    )
    excluded = [*plan.excluded, *lost_images(members, left_out)]
    origin = provenance("list_exclusions", args.options, list(args.astrometry.values()))
    write_exclusions(args.table, [vars(one) for one in excluded], origin)


if __name__ == "__main__":
    main()
