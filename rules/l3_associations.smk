# What each coadd is planned from, for users of other tools.


rule write_association:
    """Write the official association of one tile and filter."""
    input:
        script="<scripts>/write_association.py",
    output:
        association=f"<results>/level3/{tile_stem('{tile}', '{element}')}_asn.json",
    log:
        "<logs>/write_association/{tile}_{element}.log",
    benchmark:
        "<benchmarks>/write_association/{tile}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        lattice=lambda wildcards: json.dumps(plan.tiles[wildcards.tile].lattice),
        program=plan.program,
        members=lambda wildcards: json.dumps(members("cal.asdf")(wildcards)),
    shell:
        "python {input.script:q} --lattice {params.lattice:q} --program {params.program}"
        " --members {params.members:q} --association {output.association:q} > {log:q} 2>&1"
