// The pool's log, its list of tasks, and what a resumed pool makes of both.

import SpunnelSystem
import Testing

@testable import SpunnelPool

@Suite struct PoolLogTests {
  private let scratch: Scratch
  private var list: String { scratch.path + "/tasks" }
  private var logPath: String { scratch.path + "/log" }

  init() throws { scratch = try Scratch() }

  private func record(_ task: Int, _ command: String, exit: Int = 0, signal: Int = 0) -> TaskRecord
  {
    TaskRecord(
      task: task, host: "n1", start: 1_700_000_000_005, runMilliseconds: 1250, received: 3,
      exitStatus: exit, signal: signal, command: Array(command.utf8), attempt: 2,
      processorMilliseconds: 20, peakKilobytes: 4096)
  }

  private func tasks(_ text: String, isNullSeparated: Bool = false) throws -> TaskFile {
    try scratch.write(text, to: "tasks")
    return try TaskFile(list, isNullSeparated: isNullSeparated)
  }

  @Test func aRecordHasTheColumnsOfGNUParallelFirst() {
    let line = String(decoding: record(7, "echo hi", exit: 3).line, as: UTF8.self)
    #expect(
      line == "7\tn1\t1700000000.005\t     1.250\t0\t3\t3\t0\techo hi\t2\t0.020\t4096\n")
    #expect(record(1, "", signal: 9).status == 137)
  }

  @Test(arguments: [
    ("echo a", "echo a"), ("printf 'a\\n'", "printf 'a\\n'"), ("a\tb", "$'a\\tb'"),
    ("a\nb\\n'", "$'a\\nb\\\\n\\''"), ("\u{1}", "$'\\001'"), ("$'a'", "$'$\\'a\\''"), ("ü", "ü"),
  ])
  func aCommandBreaksNoColumn(_ command: String, _ column: String) {
    #expect(String(decoding: TaskRecord.column(Array(command.utf8)[...]), as: UTF8.self) == column)
  }

  @Test(arguments: [
    "Seq\tHost", "", "1\tn1\t1.0\t1.0\t0\t0\t0\t0", "x\tn1\t1\t1\t0\t0\t0\t0\ttrue",
    "1\tn1\t1\t1\t0\t0\t\t0\ttrue", "1\tn1\t1\t1\t0\t0\t0\t0\ttrue\t1",
    "0\tn1\t1\t1\t0\t0\t0\t0\ttrue",
    "1\tn1\t1\t1\t0\t0\t0\t0\ttrue\t1\t0.1\t",
  ])
  func aTornLineIsNoRecord(_ line: String) { #expect(EarlierTask(Array(line.utf8)[...]) == nil) }

  @Test func linesAreTasksUnlessTheyAreBlankOrComments() throws {
    let file = try tasks("one\r\n\n  # not this\n \t\ntwo # this\nlast")
    #expect(file.taskCount == 3)
    #expect((1...7).map { file.isTask($0) } == [true, false, false, false, true, true, false])
    #expect(try String(decoding: file.command(1, for: .handOut), as: UTF8.self) == "one")
    #expect(try String(decoding: file.command(6, for: .log), as: UTF8.self) == "last")
  }

  @Test func nullBytesSeparateCommandsThatHoldNewlines() throws {
    let file = try tasks("a\nb\0c\0", isNullSeparated: true)
    #expect(file.taskCount == 2)
    #expect(try String(decoding: file.command(1, for: .log), as: UTF8.self) == "a\nb")
  }

  @Test func whatNoCommandLineCanHoldIsRefused() throws {
    let path = list
    #expect(throws: TaskFileError.nullByte(path, line: 2)) { try tasks("a\nb\0\n") }
    #expect(throws: TaskFileError.empty(path)) { try tasks("\n# nothing\n") }
    let long = String(repeating: "x", count: TaskFile.longest)
    #expect(try tasks(long + "\n").taskCount == 1)
    #expect(throws: TaskFileError.tooLong(path, line: 1, bytes: long.utf8.count + 1)) {
      try tasks(long + "x\n")
    }
  }

  @Test func aListThatChangesIsNoticed() throws {
    let file = try tasks("one\ntwo\n")
    try scratch.write("one\ntwo\nthree\n", to: "tasks")
    #expect(throws: TaskFileError.changed(list)) { try file.command(1, for: .handOut) }
  }

  @Test func aResumedPoolLeavesOutWhatTheLogHas() throws {
    let file = try tasks("one\ntwo\nthree\nfour\n")
    do {
      let log = try JobLog(logPath, resumes: false)
      for entry in [
        record(1, "one"), record(2, "two", exit: 5), record(3, "other"), record(9, "x"),
      ] { log.append(entry) }
    }
    let text = try scratch.read("log")
    try scratch.write(text + "4\tn1\t1.0\t  0.1\t0\t0\t0\t0\tfour\t1\t0.0", to: "log")
    #expect(throws: JobLogError.exists(logPath)) { try JobLog(logPath, resumes: false) }
    do {
      let log = try JobLog(logPath, resumes: true)
      #expect(throws: JobLogError.inUse(logPath)) { try JobLog(logPath, resumes: true) }
      let ledger = Ledger(file)
      let found = try ledger.resume(log, file, failedToo: false)
      #expect(found == (1, 2))
      #expect((ledger.resumed, ledger.failed, ledger.largestStatus) == (2, 1, 5))
      #expect([ledger.take(), ledger.take(), ledger.take()] == [3, 4, nil])
      log.append(record(4, "four"))
    }
    let again = Ledger(file)
    let log = try JobLog(logPath, resumes: true)
    _ = try again.resume(log, file, failedToo: true)
    #expect([again.take(), again.take(), again.take()] == [2, 3, nil])
  }

  @Test func aTaskUnderWhichNodesDieRunsAloneAndIsGivenUpInTheEnd() throws {
    let ledger = Ledger(try tasks("one\ntwo\n"))
    for _ in 1...2 {
      #expect(ledger.take() == 1)
      #expect(ledger.crash(1))
    }
    #expect(ledger.take() == 1)
    #expect(ledger.crash(1))
    #expect(ledger.take() == 2)
    #expect(ledger.take() == nil)
    #expect(ledger.takeSuspect() == 1)
    #expect(ledger.crash(1))
    #expect(ledger.takeSuspect() == 1)
    #expect(!ledger.crash(1))
    ledger.end(1, status: TaskRecord.unknown)
    ledger.end(2, status: 0)
    #expect(ledger.isFinished)
    #expect(ledger.largestStatus == 125)
  }

  @Test func tasksThatFailRunAgainAfterAllOthers() throws {
    let ledger = Ledger(try tasks("one\ntwo\nthree\n"))
    #expect(ledger.take() == 1)
    ledger.retry(1)
    #expect([ledger.take(), ledger.take(), ledger.take(), ledger.take()] == [2, 3, 1, nil])
    #expect(ledger.attempt(1) == 2)
    ledger.giveBack(2)
    #expect(ledger.take() == 2)
    #expect(ledger.attempt(2) == 1)
  }
}
