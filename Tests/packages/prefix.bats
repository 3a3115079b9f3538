#!/usr/bin/env bats
# Where the test cluster takes its Spunnel from.

load helpers

CLUSTER=$REPOSITORY/Tests/cluster
STATE=${SPUNNEL_CLUSTER_DIR:-/run/spunnel-cluster}

@test "the test cluster runs from a prefix under /tmp and /srv, and refuses one that users cannot read" {
    local folder
    for folder in /tmp /srv; do
        folder=$(mktemp -d "$folder/spunnel-XXXXXX")
        chmod 755 "$folder"
        mkdir -p "$folder/lib/spunnel"
        cp "$REPOSITORY/build/spunnel.so" "$folder/lib/spunnel/"
        SPUNNEL_CLUSTER_DIR=$STATE-prefix "$CLUSTER/up" --prefix "$folder" 3>&-
        run env SPUNNEL_CLUSTER_DIR="$STATE-prefix" "$CLUSTER/in" login user1 -- srun --help
        SPUNNEL_CLUSTER_DIR=$STATE-prefix "$CLUSTER/down" 3>&-
        holds "--tunnel"
    done
    chmod 700 "$folder"
    run env SPUNNEL_CLUSTER_DIR="$STATE-prefix" "$CLUSTER/up" --prefix "$folder"
    SPUNNEL_CLUSTER_DIR=$STATE-prefix "$CLUSTER/down" 3>&-
    [[ $status != 0 ]]
    holds "the users of the hosts cannot read it: give each folder above it the mode o+rx"
    rm -rf "$folder"
}

@test "a Slurm of its own folder finds the cluster's configuration in its etc too" {
    local slurm
    slurm=$(mktemp -d /opt/spunnel-slurm-XXXXXX)
    chmod 755 "$slurm"
    mkdir "$slurm"/{bin,sbin}
    ln -s /usr/bin/{srun,sbatch,salloc,sinfo,squeue,scontrol,scancel} "$slurm/bin/"
    ln -s /usr/sbin/{slurmctld,slurmd} "$slurm/sbin/"
    SPUNNEL_CLUSTER_DIR=$STATE-prefix "$CLUSTER/up" --prefix "$slurm" --slurm "$slurm" 3>&-
    run env SPUNNEL_CLUSTER_DIR="$STATE-prefix" "$CLUSTER/in" login user1 -- env SLURM_CONF="$slurm/etc/slurm.conf" srun hostname
    SPUNNEL_CLUSTER_DIR=$STATE-prefix "$CLUSTER/down" 3>&-
    echo "$output"
    [[ $status == 0 && $output == n[12] ]]
    rm -rf "$slurm"
}
