// sbatch's options in Slurm 20.11 to 26.05, and which of them take a value (sbatch(1),
// slurm_opt.c).

extension ForeignOptions {
  /// sbatch's own options. Use `asking` for the options of a site's plugins.
  package static let sbatch = ForeignOptions(
    program: "sbatch",
    flags: [
      "consolidate-segments", "contiguous", "external", "help", "hold", "ignore-pbs", "no-requeue",
      "overcommit", "oversubscribe", "parsable", "quiet", "reboot", "requeue", "spread-job",
      "spread-segments", "stepmgr", "test-only", "usage", "use-min-nodes", "verbose", "version",
      "wait",
    ],
    values: [
      "account", "acctg-freq", "array", "autocomplete", "batch", "bb", "bbf", "begin",
      "burst-buffer", "chdir", "cluster", "cluster-constraint", "clusters", "comment",
      "constraint", "container", "container-id", "core-spec", "cores-per-socket", "cpu-freq",
      "cpus-per-gpu", "cpus-per-task", "deadline", "delay-boot", "dependency", "distribution",
      "error", "exclude", "export", "export-file", "extra", "extra-node-info", "gid", "gpu-bind",
      "gpu-freq", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres",
      "gres-flags", "hint", "input", "job-name", "kill-on-invalid-dep", "licenses", "mail-type",
      "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus",
      "network", "nodefile", "nodelist", "nodes", "ntasks", "ntasks-per-core", "ntasks-per-gpu",
      "ntasks-per-node", "ntasks-per-socket", "ntasks-per-tres", "open-mode", "output",
      "partition", "power", "prefer", "priority", "profile", "qos", "reservation", "segment",
      "signal", "sockets-per-node", "switches", "thread-spec", "threads-per-core", "time",
      "time-min", "tmp", "tres-bind", "tres-per-task", "tunnel", "uid", "wait-all-nodes", "wckey",
      "wrap",
    ],
    optionalValues: [
      "exclusive", "get-user-env", "nice", "no-kill", "oom-kill-step", "propagate", "resv-ports",
    ],
    letters: "A:a:B:b:C:c:D:d:e:F:G:hHi:J:k::L:M:m:N:n:Oo:p:Qq:S:st:uVvWw:x:")
}
