"""Measured references -> the table of references with a row more for each of them."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Copy the rows of a table and add those of files."""
    args = stage_arguments(
        __doc__, argv, "options", "useafter:str", "table", "references*", "library"
    )
    from tessella.io.provenance import provenance
    from tessella.io.seals import sha256
    from tessella.plan.selection import (
        measured_row,
        read_reference_table,
        write_reference_table,
    )

    told = {name: args.options[name] for name in ("version", "pedigree")}
    rows = [
        measured_row(path.resolve(), args.useafter, sha256=sha256(path, head_only=True), **told)
        for path in args.references
    ]
    origin = provenance(
        "write_library", {"useafter": args.useafter, **told}, [args.table, *args.references]
    )
    write_reference_table(args.library, [*read_reference_table(args.table), *rows], origin)


if __name__ == "__main__":
    main()
