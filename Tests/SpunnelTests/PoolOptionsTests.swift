// What a user asks of a pool, and what Slurm says to it.

import SpunnelSystem
import Testing

@testable import SpunnelPool

@Suite struct PoolOptionsTests {
  @Test func optionsAreReadAndWrittenAgain() throws {
    let options = try PoolOptions([
      "--retries=3", "-o", "out/%t", "-eerr", "--task-time", "1:30", "-0", "--log", "l", "-j4",
      "a b",
    ])
    #expect(options.retries == 3)
    #expect(options.output == "out/%t")
    #expect(options.error == "err")
    #expect(options.taskTime == 90)
    #expect(options.isNullSeparated)
    #expect(options.tasksPerNode == 4)
    #expect(options.logPath == "l")
    #expect(try PoolOptions(options.words) == options)
    #expect(try PoolOptions(["--", "-x"]).logPath == "-x.joblog")
    #expect(try PoolOptions(["--resume-failed", "x"]).resumes)
  }

  @Test(arguments: [
    [], ["a", "b"], ["--retries", "x", "a"], ["--retries", "-1", "a"], ["--retries"],
    ["--nonsense", "a"],
    ["--task-time", "soon", "a"], ["-o", "%q", "a"], ["-o", "%", "a"], ["--resume=1", "a"],
    ["-j0", "a"],
    ["--resume", "-"], ["--retries", "1000000000", "a"],
  ])
  func whatIsNoOptionIsRefused(_ words: [String]) {
    #expect(throws: PoolUsageError.self) { try PoolOptions(words) }
  }

  @Test(arguments: [
    ("5", 300), ("1:30", 90), ("2:00:01", 7201), ("1-0", 86400), ("1-02:03:04", 93784),
    ("0:59", 59),
  ])
  func timesAreSlurms(_ text: String, _ seconds: Int) {
    #expect(SlurmTime.seconds(text) == seconds)
  }

  @Test(arguments: ["", "UNLIMITED", "INVALID", "1:2:3:4", "-5", "1-", "5m", "1:-2"])
  func whatIsNoTimeIsNone(_ text: String) { #expect(SlurmTime.seconds(text) == nil) }

  @Test func namesOfFilesAreSbatchs() throws {
    let name = try OutputName("out/%t-%j-%N%%.txt")
    #expect(
      String(decoding: name.path(task: 12, job: "7", node: "n1"), as: UTF8.self)
        == "out/12-7-n1%.txt")
    #expect(name.isApart)
    #expect(try !OutputName("all-%N").isApart)
  }

  @Test func theAllocationIsWhatSlurmSays() throws {
    let variables = [
      "SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_TASKS_PER_NODE": "4(x2),1",
      "SLURM_MEM_PER_CPU": "100", "SLURM_JOB_CPUS_PER_NODE": "4(x2),2",
    ]
    let allocation = try Allocation(
      variable: { variables[$0] }, processors: 9, tasksPerNode: nil,
      expand: { _ in ["n1", "n2", "n3"] })
    #expect(allocation.nodes.map(\.slots) == [4, 4, 1])
    #expect(allocation.memory == 200)
    #expect(allocation.job == "12")
    let alone = try Allocation(
      variable: { _ in nil }, processors: 9, tasksPerNode: nil, expand: { _ in [] })
    #expect(alone.nodes.map(\.slots) == [9])
    #expect(alone.job == nil)
  }

  @Test func noStepOptionOfTheBatchScriptReachesSrun() throws {
    let allocation = try Allocation(
      variable: { ["SLURM_JOB_ID": "12"][$0] }, processors: 1, tasksPerNode: 3,
      expand: { _ in ["n1"] })
    let command = AgentCommand(
      program: "/x/spunnel-pool", srun: "/usr/bin/srun", allocation: allocation,
      options: PoolOptions(file: "tasks"))
    let kept = command.environment(from: [
      "HOME=/home/user1", "SLURM_JOB_ID=12", "SLURM_CONF=/etc/slurm.conf", "SLURM_MEM_PER_CPU=100",
      "SLURM_NTASKS=8", "SLURM_EXACT=1", "SRUN_CPUS_PER_TASK=2", "SLURM_JOB_NUM_NODES=2",
      "_SLURM_SPANK_OPTION_spunnel_tunnel=8888", "SLURM_CPU_BIND=cores",
    ])
    #expect(
      kept.map(\.text) == ["HOME=/home/user1", "SLURM_JOB_ID=12", "SLURM_CONF=/etc/slurm.conf"])
    let words = command.words(allocation.nodes[0])
    #expect(words.contains("--nodelist=n1"))
    #expect(words.suffix(6) == ["/x/spunnel-pool", "agent", "--slots", "3", "--job", "12"])
  }

  @Test func progressIsReadAsItWasWritten() throws {
    var progress = PoolProgress()
    (progress.total, progress.done, progress.failed, progress.running) = (1000, 250, 3, 16)
    (progress.rate, progress.job, progress.time) = (25, "12", 1_700_000_000)
    #expect(PoolProgress(text: progress.text) == progress)
    #expect(progress.line == "250/1000 done, 3 failed, 16 running, 25/s, 0:30 left")
    #expect(PoolProgress(text: "nonsense") == nil)
    #expect(PoolProgress(text: "state running\ntotal x\ndone 1") == nil)
  }
}

@Suite struct PoolJobTests {
  @Test func theBatchScriptBecomesTheCoordinator() throws {
    var options = PoolOptions(file: "it's $(x).txt")
    options.retries = 2
    let script = PoolJob(options, program: "/opt/spunnel/libexec/spunnel/spunnel-pool").script
    #expect(
      script == """
        #!/bin/sh
        exec '/opt/spunnel/libexec/spunnel/spunnel-pool' '--retries' '2' '--' 'it'\\''s $(x).txt'

        """)
  }

  @Test func whatTheCoordinatorWouldRefuseIsFoundBefore() throws {
    let scratch = try Scratch()
    try scratch.write("true\nfalse\n", to: "list")
    var options = PoolOptions(file: scratch.path + "/list")
    #expect(try PoolJob(options, program: "/x").check() == 2)
    try scratch.write("Seq\n", to: "list.joblog")
    #expect(throws: JobLogError.exists(options.logPath)) {
      try PoolJob(options, program: "/x").check()
    }
    options.resumes = true
    #expect(try PoolJob(options, program: "/x").check() == 2)
    options.file = scratch.path + "/none"
    #expect(throws: TaskFileError.self) { try PoolJob(options, program: "/x").check() }
    #expect(throws: PoolUsageError.self) {
      try PoolJob(PoolOptions(file: "-"), program: "/x").check()
    }
  }
}
