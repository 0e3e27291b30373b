"""Record which reference files, with their hashes, serve one kind of exposure."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Write the hashes of the chosen files; who reads their arrays checks those."""
    args = stage_arguments(
        __doc__, argv, "reftypes:json", "context:str", "sha256:json", "references*", "selection"
    )
    from tessella.io.provenance import provenance
    from tessella.io.references import named_from, write_selection

    names = named_from(args.selection, dict(zip(args.reftypes, args.references, strict=True)))
    told = {"names": names, "context": args.context}
    origin = provenance("select_references", told, args.references)
    write_selection(args.selection, names, origin, args.context, args.sha256)


if __name__ == "__main__":
    main()
