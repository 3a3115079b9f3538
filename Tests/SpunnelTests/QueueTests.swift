// The queue's own: job files, requirements, scripts, statuses and records.

import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem
import Testing

@testable import spunnelctl

@Suite struct JobFileTests {
  private func arity(_ name: String) -> OptionArity? {
    ["time": .value, "hold": .flag, "exclusive": .optionalValue, "partition": .value][name]
  }

  private func words(_ text: String) throws -> [String] {
    let file = try JobFile(try YAMLMapping(Array(text.utf8)), arity: arity)
    return try file.requirements.words(nodes: [])
  }

  @Test(arguments: [
    ("command: x", []),
    ("N: 3", ["--ntasks=3"]),
    ("mode: bycore\nN: 6\nthreads: 2", ["--ntasks=3", "--cpus-per-task=2"]),
    ("mode: by_core1\nN: 3", ["--nodes=1", "--ntasks=1", "--cpus-per-task=3"]),
    ("mode: bynode\nN: 5\nmin_cores: 8", ["--nodes=5", "--exclusive", "--mincpus=8"]),
    (
      "mode: byhost\nhost: n1\nN: 2",
      ["--nodes=1", "--nodelist=n1", "--ntasks=1", "--cpus-per-task=2"]
    ),
    ("group: [gen1, gen3]", ["--ntasks=1", "--constraint=gen1|gen3"]),
    ("group:\n    - gen1\n    - gen2\n", ["--ntasks=1", "--constraint=gen1|gen2"]),
    ("priority: low", ["--ntasks=1", "--nice=1000"]),
    ("priority: high", ["--ntasks=1", "--nice=-1000"]),
  ]) func requirementsBecomeWordsForSbatch(text: String, wanted: [String]) throws {
    #expect(try words(text) == wanted)
  }

  @Test(arguments: [
    "mode: byhost", "mode: bygroup", "mode: bycore\nN: 5\nthreads: 2",
  ]) func requirementsThatMakeNoSenseAreRefused(text: String) {
    #expect(throws: Requirements.Problem.self) { try words(text) }
  }

  @Test(arguments: [
    ("N: 0", 1, 4), ("command: x\nN: 1.5", 2, 4), ("mode: everything", 1, 7), ("X: maybe", 1, 4),
    ("group: []", 1, 8), ("host: 'a b'", 1, 7), ("priority: urgent", 1, 11), ("hold: 3", 1, 7),
    ("min_mem: lots", 1, 10),
  ]) func aWrongTypeIsToldWithItsPlace(text: String, line: Int, column: Int) {
    do {
      _ = try JobFile(try YAMLMapping(Array(text.utf8)), arity: arity)
      Issue.record("'\(text)' was taken")
    } catch let JobFile.Problem.value(error) {
      #expect((error.line, error.column) == (line, column), "\(error)")
    } catch { Issue.record("\(error)") }
  }

  @Test(arguments: [
    "a: &a [x, x]\nb: *a", "a: {b: c}", "- a", "a: [[b]]", "a: 1\na: 2", "a: 1\n---\na: 2", "a: [1",
    "%", "\t", "a:\n\t- b",
  ]) func whatIsNoJobFileIsRefused(text: String) {
    #expect(throws: YAMLError.self) { try YAMLMapping(Array(text.utf8)) }
  }

  @Test func sbatchsLongNamesAreKeys() throws {
    let text = "time: 10\nhold: true\nexclusive: user\npartition: [a, b]\n"
    let file = try JobFile(try YAMLMapping(Array(text.utf8)), arity: arity)
    #expect(file.sbatchWords == ["--time=10", "--hold", "--exclusive=user", "--partition=a,b"])
    #expect(!file.requirements.isGiven)
  }

  @Test func anUnknownKeyIsNamedWithItsPlace() {
    #expect(throws: JobFile.Problem.unknownKey("tme", line: 2, column: 1)) {
      try JobFile(try YAMLMapping(Array("command: x\ntme: 5".utf8)), arity: arity)
    }
  }

  @Test(arguments: [
    ("mode: bynode; N: 5", "mode:  bynode\nN:  5"), ("mode:bynode;N:5", "mode: bynode\nN: 5"),
    ("X:1", "X: 1"), ("", ""),
  ]) func requirementsOfWqsFormAreYAML(text: String, yaml: String) {
    #expect(String(decoding: JobFile.requirementText(text), as: UTF8.self) == yaml)
  }

  @Test func requirementsReplaceWhatTheFileSays() throws {
    var mapping = try YAMLMapping(Array("command: x\nN: 2\ngroup: a".utf8))
    mapping.replace(with: try YAMLMapping(JobFile.requirementText("N: 3; group: [b, c]")))
    let file = try JobFile(mapping, arity: arity)
    #expect(
      (file.command, file.requirements.count, file.requirements.groups) == ("x", 3, ["b", "c"]))
  }
}

@Suite struct JobStatusTests {
  private func status(_ state: String, _ exit: Int) -> JobStatus {
    var job = JobInfo(id: 1, user: 0, phase: .over)
    (job.state, job.exit) = (state, exit)
    return JobStatus(job)
  }

  @Test(arguments: [
    ("COMPLETED", 0, 0), ("FAILED", 3 << 8, 3), ("FAILED", 9, 137), ("FAILED", 53, 126),
    ("FAILED", 0, 126), ("TIMEOUT", 15, 124), ("DEADLINE", 0, 124), ("CANCELLED", 0, 130),
    ("OUT_OF_MEMORY", 125, 137), ("NODE_FAIL", 0, 125), ("BOOT_FAIL", 0, 126),
    ("PREEMPTED", 0, 125),
    ("REVOKED", 0, 125), ("", 0, 125), ("SOMETHING_NEW", 0, 125),
  ]) func aStateBecomesAnExitStatus(state: String, exit: Int, code: Int) {
    #expect(status(state, exit).code == code)
  }

  @Test func theFirstThatFailedIsTheStatusOfAll() {
    let ends = [("1", 0), ("2", 4), ("3", 5)].map {
      JobEnd(label: $0.0, status: .exited($0.1))
    }
    #expect(Waiter.status(of: ends) == .exited(4))
    #expect(Waiter.status(of: []).code == 125)
  }

  @Test(arguments: [
    ("12", "12"), ("12_3", "12_3"), ("12+1", "12+1"), ("0", nil), ("", nil), ("12_", nil),
    ("_3", nil), ("12.0", nil), ("x", nil), ("12_3_4", nil), ("99999999999", nil), ("-1", nil),
  ]) func aJobIsReadStrictly(text: String, wanted: String?) {
    #expect(JobReference(text)?.description == wanted)
  }

  @Test func anArraysNumberMeansAllOfItAndNotItsLastTask() {
    var tasks = [3, 4, 2].map { JobInfo(id: $0, user: 0, phase: .over) }
    for index in 0..<3 { (tasks[index].array, tasks[index].task) = (2, UInt32(index)) }
    #expect(JobReference(job: 2).find(in: tasks).count == 3)
    #expect(JobReference(job: 4).find(in: tasks).map(\.task) == [1])
    #expect(JobReference(job: 2, task: 2).find(in: tasks).map(\.id) == [2])
  }

  @Test func waitingTasksAreCounted() {
    let list = TaskList("1-4,7-15:4%2")
    #expect(list.numbers == [1, 2, 3, 4, 7, 11, 15])
    #expect(list.contains(11) && !list.contains(12))
    #expect(TaskList("").count == 0)
  }
}

@Suite struct JobRecordTests {
  @Test func aValueMakesNoLineOfItsOwn() throws {
    var text = RecordText()
    text.add("name", "x\nstate COMPLETED\n.\\x0a")
    text.add("state", "FAILED")
    let read = try #require(RecordText(text.bytes))
    #expect(read.text("name") == "x\nstate COMPLETED\n.\\x0a")
    #expect(read.text("state") == "FAILED")
  }

  @Test func aTornRecordIsNone() {
    var text = RecordText()
    text.add("state", "FAILED")
    for length in 0..<text.bytes.count {
      #expect(RecordText(Array(text.bytes.prefix(length))) == nil)
    }
  }

  @Test func aJobThatIsOverIsNotedWhole() throws {
    var job = JobInfo(id: 14, user: 1000, phase: .over)
    (job.array, job.task, job.state, job.exit) = (12, 2, "FAILED", 3 << 8)
    (job.name, job.limit, job.cpus) = ("a\nb", .of(5), 4)
    let read = try #require(JobInfo(end: job.endText))
    #expect(read.label == "12_2" && read.name == "a\nb" && read.limit == .of(5) && read.cpus == 4)
    #expect(JobStatus(read) == .exited(3))
  }

  @Test(arguments: [
    (["--array=1-3"], "1-3"), (["-a", "1,5"], "1,5"), (["-a1-2", "--array=3"], "3"), (["-n4"], nil),
  ]) func theLastArrayCounts(words: [String], list: String?) {
    let job = SubmittedJob(
      job: 1, words: words.map { ByteString($0) }, scriptWords: [], script: nil, folder: "/")
    #expect(job.arrayList == list)
    #expect(SubmittedJob(job.text) == job)
  }
}

@Suite struct JobScriptTests {
  private func script(_ work: JobWork, lines: String? = nil) -> String {
    String(
      decoding: JobScript(work, runner: nil, records: nil, threads: 2, lines: lines).bytes,
      as: UTF8.self)
  }

  @Test func wordsAreQuoted() {
    let text = script(.words(["echo", "it's $(x)\n"]))
    #expect(text.hasSuffix("set -- 'echo' 'it'\\''s $(x)\n'\nexec \"$@\"\n"))
  }

  @Test func marksOfWqAreReplaced() {
    let text = script(.shell("mpirun -f %hostfile% -t %threads%"))
    #expect(text.contains("'mpirun -f \"$SPUNNEL_HOSTFILE\" -t 2'"))
    #expect(text.contains("scontrol show hostnames"))
    #expect(!script(.shell("x")).contains("HOSTFILE"))
  }

  @Test func aLineOfAFileTakesThePlaceOfBraces() {
    #expect(
      script(.words(["echo", "{}", "{}x"]), lines: "/l").contains("'echo' \"$SPUNNEL_LINE\" '{}x'"))
  }

  @Test(arguments: [
    ("", "/w/slurm-12_3.out"), ("/a/%j-%A_%a-%x-%4a-%%-%q", "/a/14-12_3-n-0003-%-%q"),
    ("o\\%j", "/w/o%j"), ("%N.out", "/w/n1.out"), ("%u", "/w/root"),
  ]) func anOutputIsNamedAsSlurmNamesIt(pattern: String, path: String) {
    var job = JobInfo(id: 14, user: 0, phase: .running)
    (job.array, job.task, job.name, job.folder) = (12, 3, "n", "/w")
    (job.output, job.batchHost) = (pattern, "n1.example")
    #expect(job.outputPath == path)
  }
}

@Suite struct WqListTests {
  /// The example in wq's README.
  @Test func theListIsWqsToTheByte() {
    let now = 1_000_000
    func job(_ id: UInt32, cpus: Int, nodes: Int, span: Int, runs: Bool = true) -> JobInfo {
      var job = JobInfo(id: id, user: 4_000_000, phase: runs ? .running : .pending)
      (job.name, job.cpus, job.nodeCount, job.submitted) = ("source", cpus, nodes, now - span)
      if runs { job.started = now - span }
      return job
    }
    let list = WqList(
      jobs: [
        job(18743, cpus: 1, nodes: 1, span: 1792, runs: false),
        job(2530, cpus: 132, nodes: 11, span: 46227), job(3246, cpus: 104, nodes: 13, span: 44668),
      ], isFull: false, now: now)
    // Its user has no name here, and is wider than wq's.
    let wanted = """
       Pid   User    Status Priority Ncores Nhosts Command t_in      t_run    |
       2530  4000000 R      med      132    11     source  12h50m27s 12h50m27s|
       3246  4000000 R      med      104    13     source  12h24m28s 12h24m28s|
       18743 4000000 W      med      -      -      source  29m52s    -        |
       Jobs: Running: 2 Waiting: 1
      """.replacing("|", with: "")
    #expect(list.text == wanted)
  }
}
