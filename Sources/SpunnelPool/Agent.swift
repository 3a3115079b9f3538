// The agent of a pool on one node: it runs the command lines that the coordinator sends.

import Glibc
import SpunnelSystem

/// The options of an agent, read from its command line.
package struct AgentOptions: Equatable, Sendable {
  /// How many tasks run at once.
  package var slots: Int
  /// Where standard output goes; `nil` sends it to the coordinator.
  package var output: OutputName?
  /// Where standard error goes; `nil` for where standard output goes.
  package var error: OutputName?
  /// The job id, for names of files.
  package var job: String
  /// Megabytes that all tasks together may use; `nil` for no limit by the agent.
  package var memory: Int?

  package init(
    slots: Int, output: OutputName? = nil, error: OutputName? = nil, job: String = "0",
    memory: Int? = nil
  ) {
    self.slots = slots
    self.output = output
    self.error = error
    self.job = job
    self.memory = memory
  }
}

/// The agent on one node of a pool.
///
/// It reads frames from standard input and writes frames to standard output. The output blocks: if
/// the coordinator takes no results, the agent finishes no more tasks.
package final class Agent: EventHandler {
  private struct Waiting {
    let task: Int
    let command: [UInt8]
    let since: Int
  }

  private struct Running {
    let task: Int
    /// The start, in milliseconds since 1970.
    let start: Int
    /// The start, in milliseconds of the monotonic clock.
    let began: Int
    let output: TaskOutput.Target
  }

  /// Milliseconds for which results are collected, unless the agent needs work.
  private static let flushDelay = 20
  /// Milliseconds after which a waiting task may start sooner on another node.
  private static let longestWait = 1000
  /// Milliseconds for which a death by SIGTERM is held back: the agent's own SIGTERM may be on its
  /// way.
  private static let holdDelay = 300
  private static let largestBatch = 1 << 15

  private let options: AgentOptions
  private let loop: EventLoop
  private let signals: SignalWatch
  private let launcher: TaskLauncher
  private let outputs: TaskOutput
  private let nothing: FileDescriptor
  private let input: OpenFile
  private let output: OpenFile
  private var reader = FrameReader()
  private var waiting: [Waiting] = []
  private var nextWaiting = 0
  private var running: [pid_t: Running] = [:]
  private var outgoing: [UInt8] = []
  private var isFlushDue = false
  private var held = 0
  /// Whether the agent starts no more tasks.
  private var isStopping = false
  /// Whether a signal told the agent to end. Its tasks usually get that signal too.
  private var isLeaving = false
  private var saidIdle = false

  package init(_ options: AgentOptions) throws(SystemError) {
    self.options = options
    loop = try EventLoop()
    signals = try SignalWatch([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPIPE])
    launcher = TaskLauncher(
      numberedBy: ["SPUNNEL_POOL_TASK", "PARALLEL_SEQ"], environment: Process.environment())
    outputs = TaskOutput(options, node: Host.name)
    nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    input = try OpenFile(duplicating: STDIN_FILENO)
    output = try OpenFile(duplicating: STDOUT_FILENO)
    try loop.add(signals.descriptor.raw, .input, self)
    try loop.add(input.raw, .input, self)
  }

  /// Runs tasks until the coordinator closes the input.
  package func run() throws(SystemError) {
    outgoing.append(text: Frame.greeting + " \(Host.name)\n")
    flush()
    watchQueue()
    watchMemory()
    try loop.run()
    killAll()
  }

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      if descriptor == input.raw { try readFrames() } else { try takeSignals() }
    } catch { loop.stop() }
    fill()
    if outgoing.count > Agent.largestBatch { flush() }
  }

  // MARK: - Input

  private func readFrames() throws(SystemError) {
    guard let bytes = try input.descriptor.read(atMost: 1 << 18) else { return }
    if bytes.isEmpty { return loop.stop() }
    reader.feed(bytes)
    do throws(FrameError) {
      while let frame = try reader.next() { take(frame) }
    } catch {
      Frame(.note, [], Array("the agent ends: \(error)".utf8)).append(to: &outgoing)
      flush()
      loop.stop()
    }
  }

  private func take(_ frame: Frame) {
    switch frame.kind {
    case .task:
      guard let task = frame.numbers.first else { return }
      if isStopping { return send(.back, [task]) }
      saidIdle = false
      waiting.append(
        Waiting(task: task, command: frame.bytes + [0], since: Clock.milliseconds()))
    case .stop: stop()
    case .kill: killAll()
    case .ping:
      send(.pong)
      flush()
    default: break
    }
  }

  private func takeSignals() throws(SystemError) {
    for signal in try signals.take() where signal != SIGCHLD && signal != SIGPIPE {
      if isLeaving { continue }
      isLeaving = true
      send(.leaving)
      stop()
    }
    while let finished = FinishedTask.next() {
      guard let task = running.removeValue(forKey: finished.process) else { continue }
      if finished.signal == SIGTERM && !isLeaving {
        hold(task, finished)
      } else {
        report(task, finished)
      }
    }
  }

  // MARK: - Tasks

  /// Starts tasks on free slots, and asks for more if none waits.
  private func fill() {
    while running.count + held < options.slots, nextWaiting < waiting.count {
      let next = waiting[nextWaiting]
      nextWaiting += 1
      start(next)
    }
    if nextWaiting == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      nextWaiting = 0
    } else if nextWaiting > 1024 {
      waiting.removeFirst(nextWaiting)
      nextWaiting = 0
    }
    if waiting.isEmpty && running.count < options.slots && !saidIdle {
      saidIdle = true
      send(.idle)
      flush()
    }
  }

  private func start(_ next: Waiting) {
    do throws(SystemError) {
      let target = try outputs.open(next.task)
      let process = try launcher.start(
        next.command, number: next.task, input: nothing.raw, output: target.output,
        error: target.error)
      running[process] = Running(
        task: next.task, start: Clock.wallMilliseconds(), began: Clock.milliseconds(),
        output: target)
    } catch {
      send(.failed, [next.task], Array(error.description.utf8))
    }
  }

  private func report(_ task: Running, _ end: FinishedTask) {
    let isInterrupted = isLeaving && (end.signal > 0 || end.exitStatus > 0)
    var received = 0
    do throws(SystemError) {
      received = try outputs.close(task.output) { bytes in
        if isInterrupted { return }
        send(.output, [task.task], bytes)
        if outgoing.count > Agent.largestBatch { flush() }
      }
    } catch {
      send(.note, [], Array("task \(task.task): read its output: \(error.reason)".utf8))
    }
    if isInterrupted { return send(.interrupted, [task.task]) }
    send(
      .done,
      [
        task.task, end.exitStatus, end.signal, task.start, Clock.milliseconds() - task.began,
        end.processorMilliseconds, end.peakKilobytes, received,
      ])
  }

  /// Holds back the report of a death by SIGTERM. Slurm signals the processes of a step one by one,
  /// so a task may die before the agent gets its signal.
  private func hold(_ task: Running, _ end: FinishedTask) {
    held += 1
    loop.after(milliseconds: Agent.holdDelay) { [weak self] in
      guard let self else { return }
      held -= 1
      report(task, end)
      fill()
    }
  }

  /// Starts no more tasks, and hands back those that have not started.
  private func stop() {
    isStopping = true
    handBack()
  }

  /// Hands back waiting tasks.
  ///
  /// - Parameter count: how many, the last ones first; `nil` for all
  private func handBack(_ count: Int? = nil) {
    let entries = waiting.suffix(count ?? waiting.count - nextWaiting)
    for entry in entries { send(.back, [entry.task]) }
    waiting.removeLast(entries.count)
  }

  /// Hands back tasks that have waited too long, since they may start sooner elsewhere. It hands
  /// back half at a time, so that work is left if the running tasks are slow only for a moment.
  private func watchQueue() {
    loop.after(milliseconds: Agent.longestWait / 2) { [weak self] in
      guard let self else { return }
      if nextWaiting < waiting.count,
        Clock.milliseconds() - waiting[nextWaiting].since > Agent.longestWait
      {
        handBack((waiting.count - nextWaiting + 1) / 2)
        flush()
      }
      watchQueue()
    }
  }

  /// Kills the largest task before Slurm kills all of them.
  private func watchMemory() {
    guard let memory = options.memory, memory > 0 else { return }
    loop.after(milliseconds: MemoryWatch.interval) { [weak self] in
      guard let self else { return }
      if let victim = MemoryWatch.victim(
        among: Array(running.keys), limitKilobytes: memory * 1024)
      {
        let task = running[victim.process]?.task ?? 0
        send(
          .note, [],
          Array(
            """
            task \(task): killed: the tasks of this node use \(victim.total / 1024) MB of the job's \(memory) MB, \
            and this task the most: \(victim.kilobytes / 1024) MB: ask for more with --mem, or run fewer at once \
            with --jobs
            """.utf8))
        flush()
        _ = kill(-victim.process, SIGKILL)
      }
      watchMemory()
    }
  }

  private func killAll() {
    for process in running.keys { _ = kill(-process, SIGKILL) }
  }

  // MARK: - Output

  private func send(_ kind: Frame.Kind, _ numbers: [Int] = [], _ bytes: [UInt8] = []) {
    Frame(kind, numbers, bytes).append(to: &outgoing)
    guard !isFlushDue else { return }
    isFlushDue = true
    loop.after(milliseconds: Agent.flushDelay) { [weak self] in self?.flush() }
  }

  private func flush() {
    isFlushDue = false
    if outgoing.isEmpty { return }
    do throws(SystemError) { try output.descriptor.writeAll(outgoing) } catch { loop.stop() }
    outgoing.removeAll(keepingCapacity: true)
  }
}
