#!/usr/bin/env nextflow
// varscore annotate in shards, merged to the bytes of one run. A process to include in other pipelines, and a workflow:
//
//   nextflow run workflows/varscore.nf --vcf 'calls/*.vcf.gz' --reference genome.fa -resume
//
// On a cluster: -process.executor slurm. In a container: -profile docker or apptainer (see Containerfile), or conda.

nextflow.enable.dsl = 2

params.vcf = null
params.reference = null
params.shards = 8
params.out = 'scored'
params.options = ''

process VARSCORE_SHARD {
    tag "${vcf.name} ${index}/${of}"
    cpus 1
    memory '4 GB'
    time '4h'
    // 143: stopped by SIGTERM, which preemption and time limits send
    errorStrategy { task.exitStatus in [130, 137, 143] ? 'retry' : 'finish' }
    maxRetries 5

    input:
    tuple path(vcf), val(index), val(of)
    path reference
    val options

    output:
    tuple val(vcf.name), path("shard-*.vcf.gz"), path("shard-*.vcf.gz.run.json")

    script:
    """
    export VARSCORE_CACHE=\$PWD/cache
    varscore annotate '${vcf}' -r '${reference}' -o 'shard-${index}-of-${of}.vcf.gz' --shard ${index}/${of} \\
        --threads ${task.cpus} ${options}
    """
}

process VARSCORE_MERGE {
    tag "${name}"
    publishDir params.out, mode: 'copy'
    memory '2 GB'

    input:
    tuple val(name), path(shards), path(runs)

    output:
    path "*.varscore.vcf.gz*"

    script:
    def stem = name.replaceAll(/\.(vcf|vcf\.b?gz|bcf)$/, '')
    """
    varscore merge ${shards} -o '${stem}.varscore.vcf.gz'
    """
}

workflow {
    if (!params.vcf || !params.reference) {
        error "give --vcf and --reference"
    }
    reference = file(params.reference, checkIfExists: true)
    jobs = channel.fromPath(params.vcf, checkIfExists: true)
        .flatMap { vcf -> (1..params.shards).collect { index -> tuple(vcf, index, params.shards) } }
    VARSCORE_SHARD(jobs, reference, params.options)
    VARSCORE_MERGE(VARSCORE_SHARD.out.groupTuple(size: params.shards))
}
