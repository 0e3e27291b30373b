# Level 3 to Level 4: one catalog of each tile in all its filters.


rule detect_sources:
    """Detect sources on all bands together."""
    input:
        script="<scripts>/detect_sources.py",
        mosaics=coadds,
    output:
        segmentation=f"<results>/level4/{tile_stem('{tile}')}_segm.asdf",
    log:
        "<logs>/detect_sources/{tile}.log",
    benchmark:
        "<benchmarks>/detect_sources/{tile}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        options=section(cfg.detect),
    shell:
        "python {input.script:q} --options {params.options:q} --mosaics {input.mosaics:q}"
        " --segmentation {output.segmentation:q} > {log:q} 2>&1"


rule measure_sources:
    """Measure the detected sources in one band."""
    input:
        script="<scripts>/measure_sources.py",
        mosaic=f"<results>/level3/{tile_stem('{tile}', '{element}')}_coadd.asdf",
        segmentation=f"<results>/level4/{tile_stem('{tile}')}_segm.asdf",
        encircled_energy=lambda wildcards: reference_of(
            "apcorr", *plan.tiles[wildcards.tile].members[wildcards.element.upper()][0]
        ),
        psfs=lambda wildcards: psfs_of_tile(wildcards.tile, wildcards.element.upper()),
        reference=lambda wildcards: (
            f"{RESULTS}/level3/"
            + tile_stem(wildcards.tile, matching_filter(wildcards.tile).lower())
            + "_coadd.asdf"
        ),
        reference_psfs=lambda wildcards: psfs_of_tile(
            wildcards.tile, matching_filter(wildcards.tile)
        ),
    output:
        table="<results>/level4/{tile}_{element}_measurements.parquet",
    log:
        "<logs>/measure_sources/{tile}_{element}.log",
    benchmark:
        "<benchmarks>/measure_sources/{tile}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        options=section(cfg.measure),
    shell:
        "python {input.script:q} --options {params.options:q} --mosaic {input.mosaic:q}"
        " --segmentation {input.segmentation:q} --encircled-energy {input.encircled_energy:q}"
        " --psf {input.psfs:q} --reference {input.reference:q}"
        " --reference-psf {input.reference_psfs:q} --table {output.table:q} > {log:q} 2>&1"


rule join_bands:
    """Join the bands to one official catalog."""
    input:
        script="<scripts>/join_bands.py",
        segmentation=f"<results>/level4/{tile_stem('{tile}')}_segm.asdf",
        tables=lambda wildcards: [
            f"{RESULTS}/level4/{wildcards.tile}_{element}_measurements.parquet"
            for element in tile_filters(wildcards.tile)
        ],
        mosaics=coadds,
    output:
        catalog=f"<results>/level4/{tile_stem('{tile}')}_cat.parquet",
    log:
        "<logs>/join_bands/{tile}.log",
    benchmark:
        "<benchmarks>/join_bands/{tile}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        matched_to=lambda wildcards: matching_filter(wildcards.tile),
    shell:
        "python {input.script:q} --matched-to {params.matched_to} --segmentation {input.segmentation:q}"
        " --tables {input.tables:q} --mosaics {input.mosaics:q} --catalog {output.catalog:q} > {log:q} 2>&1"
