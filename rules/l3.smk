# Level 2 to Level 3: the sums of each patch and filter, and the cells cut from them.


rule coadd_patch:
    """Add the exposures of one filter on a patch; where sums are there already, what is new or changed."""
    input:
        script="<scripts>/coadd_patch.py",
        images=of_patch("cal.asdf"),
        solution="<results>/level3/{patch}_{element}_solution.h5",
    output:
        sums=update("<results>/level3/{patch}_{element}_sums.h5"),
    log:
        "<logs>/coadd_patch/{patch}_{element}.log",
    benchmark:
        "<benchmarks>/coadd_patch/{patch}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    threads: 1
    resources:
        mpi="mpiexec",
        tasks=lambda wildcards, threads: threads,
        mem_mb=each_rank(1500),
        runtime=growing(60),
    params:
        options=section(cfg.coadd),
        images=listed("coadd_patch", "images"),
        patch=lambda wildcards: json.dumps(patch_and_cells(wildcards.patch)),
        launcher=launcher,
    shell:
        "{params.launcher} python {input.script:q} --options {params.options:q} --patch {params.patch:q}"
        " --ranks {resources.tasks} --solution {input.solution:q} --images {params.images:q}"
        " --sums {output.sums:q} > {log:q} 2>&1"


rule cut_cell:
    """Cut one cell from the sums of its patch."""
    input:
        script="<scripts>/cut_cell.py",
        sums=lambda wildcards: (
            f"{RESULTS}/level3/{patch_of(wildcards.tile)}_{wildcards.element}_sums.h5"
        ),
        images=members("cal.asdf"),
    output:
        mosaic=f"<results>/level3/{tile_stem('{tile}', '{element}')}_coadd.asdf",
        preview=f"<results>/level3/{tile_stem('{tile}', '{element}')}_preview.png",
        thumbnail=f"<results>/level3/{tile_stem('{tile}', '{element}')}_thumb.png",
        maps=f"<results>/level3/{tile_stem('{tile}', '{element}')}_maps.png",
    log:
        "<logs>/cut_cell/{tile}_{element}.log",
    benchmark:
        "<benchmarks>/cut_cell/{tile}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=for_context,
        runtime=growing(20),
    params:
        images=listed("cut_cell", "images"),
        lattice=lambda wildcards: json.dumps(plan.tiles[wildcards.tile].lattice),
        grouping=lambda wildcards: wildcards.tile.split("_")[0],
        program=plan.program,
    shell:
        "python {input.script:q} --lattice {params.lattice:q} --program {params.program}"
        " --grouping {params.grouping} --sums {input.sums:q} --images {params.images:q}"
        " --mosaic {output.mosaic:q} --preview {output.preview:q} --thumbnail {output.thumbnail:q}"
        " --maps {output.maps:q} > {log:q} 2>&1"
