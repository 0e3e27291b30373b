# Truth to telemetry. Truth is an input of these rules and of the report alone.


rule make_truth:
    """Draw the sources of the simulated sky; stars of the Gaia table stand where it says, a user's sources too."""
    input:
        script="<scripts>/make_truth.py",
        stars=find_file(cfg.reference_stars.table, BASE),
        catalogue=[find_file(cfg.scene.catalogue, BASE)] if cfg.scene.catalogue else [],
    output:
        truth="<results>/simulation/truth.ecsv",
    log:
        "<logs>/make_truth.log",
    benchmark:
        "<benchmarks>/make_truth.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=lambda wildcards: json.dumps(scene_options()),
        catalogue=lambda wildcards, input: json.dumps(list(input.catalogue)),
    shell:
        "python {input.script:q} --options {params.options:q} --stars {input.stars:q}"
        " --catalogue {params.catalogue:q} --truth {output.truth:q} > {log:q} 2>&1"


rule simulate_exposure:
    """Expose all detectors to the simulated sky, to a lamp or to nothing."""
    input:
        script="<scripts>/simulate_exposure.py",
        truth=truth_of,
        state=f"{find_file(cfg.references.states, BASE)}/{cfg.expose.state}.yaml",
        earlier=lambda wildcards: [path for path in leaking(wildcards.exposure) if path],
    output:
        readouts="<results>/simulation/{exposure}_readouts.h5",
        left=expand(
            "<results>/simulation/{{exposure}}_{detector}_persistence.asdf",
            detector=DETECTORS if HAS_PERSISTENCE else [],
        ),
    log:
        "<logs>/simulate_exposure/{exposure}.log",
    benchmark:
        "<benchmarks>/simulate_exposure/{exposure}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1500, whole=3000),
        runtime=growing(30),
    params:
        options=section(cfg.expose),
        window=json.dumps(vars(cfg.detector_window)),
        exposure=exposure_json,
        truth=lambda wildcards, input: json.dumps(list(input.truth)),
        earlier=lambda wildcards: json.dumps(leaking(wildcards.exposure)),
        left=lambda wildcards, output: json.dumps(list(output.left)),
    shell:
        "python {input.script:q} --options {params.options:q} --window {params.window:q}"
        " --exposure {params.exposure:q} --state {input.state:q} --truth {params.truth:q}"
        " --earlier {params.earlier:q} --readouts {output.readouts:q} --left {params.left:q}"
        " > {log:q} 2>&1"


rule packetize_exposure:
    """Send one exposure to the ground, with the faults of a transmission."""
    input:
        script="<scripts>/packetize_exposure.py",
        readouts="<results>/simulation/{exposure}_readouts.h5",
    output:
        telemetry="<results>/level0/{exposure}.l0",
        sidecar="<results>/level0/{exposure}.l0.json",
    log:
        "<logs>/packetize_exposure/{exposure}.log",
    benchmark:
        "<benchmarks>/packetize_exposure/{exposure}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        options=section(cfg.packetize),
    shell:
        "python {input.script:q} --options {params.options:q} --readouts {input.readouts:q}"
        " --telemetry {output.telemetry:q} > {log:q} 2>&1"
