// Which tasks wait, run and have ended. It takes one byte for each line, and little more.

/// The state of all tasks of a pool.
package final class Ledger {
  private enum State: UInt8 { case none, waiting, out, ended }

  /// Node deaths under one task after which the task is given up.
  package static let mostCrashes = 5
  /// Node deaths after which a task runs alone on its node, so that no other task suffers from it.
  private static let crashesInCompany = 3

  private var states: [State]
  /// The statuses of tasks that an earlier run ended, by line.
  private var earlier: [UInt8] = []
  /// The first line that was never handed out.
  private var next = 1
  /// Tasks that an agent handed back. They go out next, the last one first.
  private var handedOn: [Int] = []
  /// Tasks that must run alone.
  private var suspects: [Int] = []
  /// Tasks that failed and run again, after all others.
  private var again: [Int] = []
  private var nextAgain = 0
  /// How often each task was tried; empty while no task was tried twice.
  private var tries: [UInt8] = []
  /// How many nodes died under each task.
  private var crashes: [Int: Int] = [:]

  package let total: Int
  /// Tasks that an earlier run ended and that do not run again.
  package private(set) var resumed = 0
  package private(set) var ended = 0
  package private(set) var failed = 0
  package private(set) var largestStatus = 0
  /// The number of tasks at the agents.
  package private(set) var out = 0

  package init(_ tasks: TaskFile) {
    total = tasks.taskCount
    states = [State](repeating: .none, count: tasks.lineCount + 1)
    for line in states.indices where tasks.isTask(line) { states[line] = .waiting }
  }

  /// Whether every task has ended.
  package var isFinished: Bool { ended == total }
  /// Whether any task is at an agent.
  package var isOut: Bool { out > 0 }

  /// Takes over the records of earlier runs.
  ///
  /// - Parameters:
  ///   - log: the log; the last record of a task counts
  ///   - tasks: the list of command lines
  ///   - failedToo: whether tasks that failed run again
  /// - Returns: the number of damaged lines, and of records whose command differs from the list
  package func resume(
    _ log: JobLog, _ tasks: TaskFile, failedToo: Bool
  ) throws -> (damaged: Int, different: Int) {
    var different = 0
    var failure: TaskFileError?
    let noRecord = UInt8.max
    earlier = [UInt8](repeating: noRecord, count: states.count)
    let damaged = try log.forEachEarlier { record in
      guard tasks.isTask(record.task) else { return different += 1 }
      do throws(TaskFileError) {
        let command = try tasks.command(record.task, for: .log)
        guard TaskRecord.column(command)[...] == record.command else { return different += 1 }
        earlier[record.task] = UInt8(min(record.status, 254))
      } catch { failure = error }
    }
    if let failure { throw failure }
    for line in earlier.indices {
      let status = Int(earlier[line])
      if earlier[line] == noRecord || failedToo && status != 0 { continue }
      states[line] = .ended
      resumed += 1
      count(status)
    }
    earlier = []
    return (damaged, different)
  }

  /// Hands out the next task; `nil` if none waits.
  package func take() -> Int? {
    var task = handedOn.popLast()
    while task == nil, next < states.count {
      if states[next] == .waiting { task = next }
      next += 1
    }
    if task == nil, nextAgain < again.count {
      task = again[nextAgain]
      nextAgain += 1
    }
    return task.map { handOut($0) }
  }

  /// Hands out a task that must run alone; `nil` if none waits.
  package func takeSuspect() -> Int? { suspects.popLast().map { handOut($0) } }

  private func handOut(_ task: Int) -> Int {
    states[task] = .out
    out += 1
    return task
  }

  /// The number of the present attempt, from 1.
  package func attempt(_ task: Int) -> Int { tries.isEmpty ? 1 : Int(tries[task]) + 1 }

  /// Whether a task is at an agent. It is an error if an agent reports any other task.
  package func isOut(_ task: Int) -> Bool {
    task > 0 && task < states.count && states[task] == .out
  }

  /// Takes back a task that has not begun, or that was interrupted.
  package func giveBack(_ task: Int) {
    retire(task, to: .waiting)
    if crashes[task, default: 0] < Ledger.crashesInCompany {
      handedOn.append(task)
    } else {
      suspects.append(task)
    }
  }

  /// Notes that a node died under a task.
  ///
  /// - Returns: whether the task runs again
  package func crash(_ task: Int) -> Bool {
    crashes[task, default: 0] += 1
    noteTry(task)
    let deaths = crashes[task, default: 0]
    if deaths >= Ledger.mostCrashes { return false }
    giveBack(task)
    return true
  }

  /// Puts a failed task into the queue again.
  package func retry(_ task: Int) {
    retire(task, to: .waiting)
    noteTry(task)
    again.append(task)
  }

  private func noteTry(_ task: Int) {
    if tries.isEmpty { tries = [UInt8](repeating: 0, count: states.count) }
    if tries[task] < UInt8.max { tries[task] += 1 }
  }

  /// Notes that a task has ended for good.
  package func end(_ task: Int, status: Int) {
    retire(task, to: .ended)
    if !crashes.isEmpty { crashes[task] = nil }
    count(status)
  }

  private func retire(_ task: Int, to state: State) {
    states[task] = state
    out -= 1
  }

  private func count(_ status: Int) {
    ended += 1
    if status != 0 { failed += 1 }
    largestStatus = max(largestStatus, status)
  }
}
