// A job as a user names it: 12, a task 12_3, a component 12+1.

import SpunnelSlurm

/// A job, a task of an array, or a component of a heterogeneous job.
package struct JobReference: Hashable, Sendable, CustomStringConvertible {
  package let job: UInt32
  package let task: UInt32?
  package let component: UInt32?

  package init(job: UInt32, task: UInt32? = nil, component: UInt32? = nil) {
    (self.job, self.task, self.component) = (job, task, component)
  }

  /// - Returns: `nil` for any other text
  package init?(_ text: String) {
    let separators: [Character] = ["_", "+"]
    let mark = text.first { separators.contains($0) }
    let parts = text.split(separator: mark ?? " ", maxSplits: 1, omittingEmptySubsequences: false)
    guard let job = JobReference.number(parts[0]), job > 0 else { return nil }
    var number: UInt32?
    if parts.count == 2 {
      number = JobReference.number(parts[1])
      if number == nil { return nil }
    }
    self.init(job: job, task: mark == "_" ? number : nil, component: mark == "+" ? number : nil)
  }

  private static func number(_ text: Substring) -> UInt32? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt32(text).flatMap { $0 < 0xffff_fff0 ? $0 : nil }
  }

  package var description: String {
    if let task { return "\(job)_\(task)" }
    if let component { return "\(job)+\(component)" }
    return String(job)
  }

  /// The records of Slurm that are meant. A number alone first means an array: the last task of an
  /// array has the array's own number as its job id.
  package func find(in jobs: [JobInfo]) -> [JobInfo] {
    if let task {
      return jobs.filter { $0.array == job && ($0.task == task || $0.waitingTasks.contains(task)) }
    }
    if let component { return jobs.filter { $0.het == job && $0.component == component } }
    let whole = jobs.filter { $0.array == job || $0.het == job }
    return whole.isEmpty ? jobs.filter { $0.id == job } : whole
  }
}

extension JobInfo {
  /// The numbers of the tasks that wait in this record.
  package var waitingTasks: TaskList { task == nil ? TaskList(tasks) : TaskList("") }
}

/// The numbers of an array's tasks, as Slurm writes them: `1-4,7-15:4%2`.
package struct TaskList: Sendable {
  private let ranges: [StrideTo<UInt32>]

  /// Reads a list. Malformed items are skipped.
  package init(_ text: String) {
    let list = text.prefix { $0 != "%" }
    ranges = list.split(separator: ",").compactMap { item in
      let parts = item.split(separator: ":", maxSplits: 1)
      let ends = parts[0].split(separator: "-", maxSplits: 1).map { UInt32($0) }
      let step = parts.count == 2 ? UInt32(parts[1]) ?? 1 : 1
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, step > 0, first <= last,
        last < 4_000_000_000
      else { return nil }
      return stride(from: first, to: last + 1, by: Int(step))
    }
  }

  package func contains(_ task: UInt32) -> Bool { ranges.contains { $0.contains(task) } }

  /// How many tasks the list has.
  package var count: Int { ranges.reduce(0) { $0 + $1.underestimatedCount } }

  /// The numbers of the tasks, in the order of the list.
  package var numbers: [UInt32] { ranges.flatMap { Array($0) } }
}
