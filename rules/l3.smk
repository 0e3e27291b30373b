# Level 2 to Level 3: one coadd of each tile and filter.


rule coadd_tile:
    """Add the exposures of one filter on the lattice of one tile; ranks own bands of rows."""
    input:
        script="<scripts>/coadd_tile.py",
        images=members("cal.asdf"),
        wcs=members("wcs.asdf"),
    output:
        mosaic=f"<results>/level3/{tile_stem('{tile}', '{element}')}_coadd.asdf",
    log:
        "<logs>/coadd_tile/{tile}_{element}.log",
    benchmark:
        "<benchmarks>/coadd_tile/{tile}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    threads: 1
    resources:
        mpi="mpiexec",
        tasks=lambda wildcards, threads: threads,
        mem_mb=growing(2500),
        runtime=growing(30),
    params:
        options=section(cfg.coadd),
        lattice=lambda wildcards: json.dumps(plan.tiles[wildcards.tile].lattice),
        program=plan.program,
        launcher=launcher,
    shell:
        "{params.launcher} python {input.script:q} --options {params.options:q} --lattice {params.lattice:q}"
        " --program {params.program} --ranks {resources.tasks} --images {input.images:q} --wcs {input.wcs:q}"
        " --mosaic {output.mosaic:q} > {log:q} 2>&1"
