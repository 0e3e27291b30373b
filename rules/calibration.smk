# References measured from the darks and flats of the run, and the table of references with them.

CALIBRATED_SINCE = min(exposure.start_time for exposure in CALIBRATION.values())
MEASURED = ["mask", "dark", "readnoise", "gain", *(f"flat_{element}" for element in lamp_filters())]


rule measure_references:
    """Measure the references of one detector from its darks and flats."""
    input:
        script="<scripts>/measure_references.py",
        ramps=of_calibration(level1_of),
        selections=of_calibration(selection_of),
    output:
        references=expand("<results>/measured/{{detector}}_{stem}.asdf", stem=MEASURED),
        picture="<results>/measured/{detector}_maps.png",
    log:
        "<logs>/measure_references/{detector}.log",
    benchmark:
        "<benchmarks>/measure_references/{detector}.tsv"
    conda:
        "../envs/tessella.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        options=json.dumps(calibration_options()),
        useafter=CALIBRATED_SINCE,
    shell:
        "python {input.script:q} --options {params.options:q} --detector {wildcards.detector:q}"
        " --useafter {params.useafter:q} --workers {threads} --ramps {input.ramps:q}"
        " --selections {input.selections:q} --references {output.references:q}"
        " --picture {output.picture:q} > {log:q} 2>&1"


rule write_library:
    """Add the measured references to the table of references."""
    input:
        script="<scripts>/write_library.py",
        table=find_file(cfg.references.table, BASE),
        references=expand(
            "<results>/measured/{detector}_{stem}.asdf", detector=DETECTORS, stem=MEASURED
        ),
    output:
        library="<results>/library.tsv",
    log:
        "<logs>/write_library.log",
    benchmark:
        "<benchmarks>/write_library.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        options=section(cfg.calibration),
        useafter=CALIBRATED_SINCE,
    shell:
        "python {input.script:q} --options {params.options:q} --useafter {params.useafter:q}"
        " --table {input.table:q} --references {input.references:q} --library {output.library:q}"
        " > {log:q} 2>&1"
