# The end of a run: what it made.


rule write_manifest:
    """List every product of the run with its SHA-256; its seals tell which there are."""
    input:
        script="<scripts>/write_manifest.py",
        products=products(),
        targets=last_products(),
    output:
        manifest="<results>/manifest.json",
    log:
        "<logs>/write_manifest.log",
    benchmark:
        "<benchmarks>/write_manifest.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    shell:
        "python {input.script:q} --targets {input.targets:q} --manifest {output.manifest:q} > {log:q} 2>&1"
