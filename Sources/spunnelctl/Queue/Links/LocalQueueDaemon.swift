// The program localqd: starts and stops a personal Slurm.

import Glibc
import SpunnelCLI
import SpunnelCluster
import SpunnelSystem

enum LocalQueueDaemon {
  private static let cores = Option(
    nil, letter: "n", "N", .number(in: ShapeRequest.processorRange),
    "How many cores jobs have together (all of this host's).")
  private static let interval = Option(
    nil, letter: "i", "SECONDS", .number(in: 0...1_000_000),
    "Taken and not needed: a job starts when there is room for it.")
  private static let policy = Option(
    nil, letter: "p", "WORD", ValueKind<LocalQueuePolicy>.choice,
    "Which job is next: fifo, or mcf, the one with the most cores (fifo).")
  private static let action = Operand("start|stop", ValueKind<LocalQueueAction>.choice)

  static let root = CommandSpec(
    "localqd", "Start or stop a queue of your own.", operands: [action],
    options: [cores, interval, LocalQueueTools.uri, policy],
    details: """
      The queue is a personal Slurm (spunnelctl cluster). It stays when you log out, and keeps what waits
      when it is stopped. Each URIFILE is a queue of its own; its process id is in URIFILE.pid.
      """,
    examples: [
      .init("localqd -n 2 start", "Start a queue with two cores."),
      .init("localqd stop", "Stop it."),
    ]
  ) { call throws(CommandError) in
    let queue = try OwnQueue.localq(call[LocalQueueTools.uri])
    switch try call.required(action) {
    case .start: return try start(queue, call)
    case .stop: return try stop(queue)
    }
  }

  private static func start(_ queue: OwnQueue, _ call: Call) throws(CommandError) -> ExitCode {
    let cluster = try queue.keptOrNew()
    // The daemons leave the user's folder, so that its file system can be unmounted.
    _ = unsafe chdir("/")
    let (result, shape) = try queue.serve(cluster) { request in
      request.shape.processors = call[cores]
      request.shape.policy = call[policy]?.policy
    }
    let size = "\(shape.processors) core\(shape.processors == 1 ? "" : "s")"
    if case .wasUp = result {
      try say("localqd runs already with \(size)")
      if call.has(cores), call[cores] != shape.processors {
        throw .failure("start the queue: it runs with \(size): type localqd stop first")
      }
    } else {
      try say("localqd runs with \(size)")
    }
    return .success
  }

  private static func stop(_ queue: OwnQueue) throws(CommandError) -> ExitCode {
    guard let cluster = try queue.kept() else {
      throw .failure("stop the queue: it does not run: \(queue.starter) starts it")
    }
    do throws(ClusterError) {
      let result = try cluster.down(.refuse)
      queue.forget()
      if case .stopped(let waiting?) = result, waiting > 0 {
        try? say("localqd is stopped; the jobs that wait, \(waiting), stay for the next start")
      } else {
        try? say("localqd is stopped")
      }
    } catch {
      if case .busy(_, let jobs) = error {
        let names = jobs.prefix(10).map(\.description).joined(separator: ", ")
        throw .failure(
          "stop the queue: jobs run: \(printable(names)): wait for them, or cancel them: lcancel -j "
            + "\(jobs[0].id)")
      }
      throw .failure("stop the queue: \(error)")
    }
    return .success
  }
}

enum LocalQueueAction: String, CaseIterable, Sendable { case start, stop }

/// localq's names for the policy.
enum LocalQueuePolicy: String, CaseIterable, Sendable {
  case fifo, mcf

  var policy: Policy { self == .fifo ? .fifo : .largestFirst }
}
