# What is to be done to each Level 2 image before it is added: sky and outliers.


rule match_skies:
    """Place each image of a region and find its sky level, so that images agree where they overlap."""
    input:
        script="<scripts>/match_skies.py",
        images=of_region("cal.asdf"),
        wcs=of_region("wcs.asdf"),
        astrometry="<results>/level3/region{region}_astrometry.ecsv",
    output:
        inputs="<results>/level3/region{region}_{element}_inputs.h5",
    log:
        "<logs>/match_skies/{region}_{element}.log",
    benchmark:
        "<benchmarks>/match_skies/{region}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        options=section(cfg.sky_match),
        images=listed("match_skies", "images"),
        wcs=listed("match_skies", "wcs"),
        region=lambda wildcards: int(wildcards.region),
    shell:
        "python {input.script:q} --options {params.options:q} --region {params.region} --images {params.images:q}"
        " --wcs {params.wcs:q} --astrometry {input.astrometry:q} --inputs {output.inputs:q} > {log:q} 2>&1"


rule find_outliers:
    """Find what one image of a patch shows and the others do not; ranks own lines of the patch."""
    input:
        script="<scripts>/find_outliers.py",
        images=of_patch("cal.asdf"),
        inputs=lambda wildcards: (
            f"{RESULTS}/level3/region{patch_region(wildcards)}_{wildcards.element}_inputs.h5"
        ),
    output:
        solution="<results>/level3/{patch}_{element}_solution.h5",
    log:
        "<logs>/find_outliers/{patch}_{element}.log",
    benchmark:
        "<benchmarks>/find_outliers/{patch}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    threads: 1
    resources:
        mpi="mpiexec",
        tasks=lambda wildcards, threads: threads,
        mem_mb=each_rank(1500),
        runtime=growing(30),
    params:
        options=section(cfg.outliers),
        images=listed("find_outliers", "images"),
        lattice=lambda wildcards: json.dumps(plan.patches[wildcards.patch].lattice),
        launcher=launcher,
    shell:
        "{params.launcher} python {input.script:q} --options {params.options:q} --patch {wildcards.patch}"
        " --lattice {params.lattice:q} --ranks {resources.tasks} --images {params.images:q}"
        " --inputs {input.inputs:q} --solution {output.solution:q} > {log:q} 2>&1"
