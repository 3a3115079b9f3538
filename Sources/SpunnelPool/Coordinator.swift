// The coordinator of a pool: it sends tasks to agents, writes the log, and decides when the pool
// ends.

import Glibc
import SpunnelSystem

/// The process in the batch step, with one agent on each node.
package final class Coordinator: EventHandler {
  private static let tickInterval = 500
  /// The work that waits at an agent, in milliseconds. It covers the round trip to the coordinator.
  /// If tasks run longer than this, none waits, since it might start sooner on another node.
  private static let reserve = 300.0
  /// Deaths of a node without a finished task after which the node is given up.
  private static let mostDeaths = 5
  /// Milliseconds of silence after which an agent gets no new task.
  private static let silence = 60_000
  /// Milliseconds that a full disk has to get room again.
  static let logPatience = 600_000

  let options: PoolOptions
  let allocation: Allocation
  let tasks: TaskFile
  let ledger: Ledger
  let log: JobLog
  let loop: EventLoop
  let voice: Voice
  private let signals: SignalWatch
  private let time: JobTime?
  var links: [AgentLink] = []
  private var closing: Closing?
  private var isShuttingDown = false
  private var logStuckSince: Int?
  /// The agent that is sending the output of a task.
  private var speaker: AgentLink?
  private var meanMilliseconds: Double?
  private var ticks = 0

  package init(
    _ options: PoolOptions, _ allocation: Allocation, _ tasks: TaskFile, _ ledger: Ledger,
    _ log: JobLog
  ) throws(SystemError) {
    self.options = options
    self.allocation = allocation
    self.tasks = tasks
    self.ledger = ledger
    self.log = log
    time = options.taskTime == nil ? nil : allocation.job.map { JobTime(job: $0) }
    loop = try EventLoop()
    signals = try SignalWatch([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPIPE])
    voice = Voice(log: options.logPath, job: allocation.job ?? "0")
    try loop.add(signals.descriptor.raw, .input, self)
  }

  /// Runs all tasks.
  ///
  /// - Parameter command: how to start agents
  /// - Returns: the exit status of the pool
  package func run(_ command: AgentCommand) throws(SystemError) -> Int {
    links = allocation.nodes.map { AgentLink($0, command, loop, self) }
    if !ledger.isFinished { for link in links { start(link) } }
    tick()
    checkEnd()
    try loop.run()
    voice.end(progress(.ended), closing: ledger.isFinished ? nil : closing)
    let status = max(ledger.largestStatus, ledger.isFinished ? 0 : closing?.status ?? 125)
    return log.failure == nil && voice.outputFailure == nil ? status : max(status, 125)
  }

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    for signal in (try? signals.take()) ?? [] {
      switch signal {
      case SIGCHLD: for link in links { link.lookAfter() }
      case SIGPIPE: break
      default: told(signal)
      }
    }
  }

  // MARK: - Handing out

  /// Sends as many tasks as the agent has room for.
  private func handOut(_ link: AgentLink) {
    if closing != nil || log.failure != nil { return }
    do throws(TaskFileError) {
      for _ in 0..<link.room(reserve: reserve) {
        guard let task = ledger.take() else { break }
        link.hand(task, try tasks.command(task, for: .handOut))
      }
      if link.tasks.isEmpty, link.room(reserve: 0) > 0, let task = ledger.takeSuspect() {
        link.hand(task, try tasks.command(task, for: .handOut))
        link.isIsolated = true
      }
    } catch { close(.failure(error.description)) }
    link.flush()
  }

  private func handOutAll() {
    for link in links { handOut(link) }
  }

  /// Starts no more tasks. Agents hand back the tasks that have not begun.
  private func close(_ reason: Closing) {
    if closing != nil { return }
    closing = reason
    if !ledger.isFinished { voice.say("nothing new begins: \(reason.words)") }
    for link in links where link.state == .ready { link.send(.stop) }
    checkEnd()
  }

  /// The first signal lets running tasks finish. The second kills them.
  private func told(_ signal: CInt) {
    guard case .signal = closing else {
      close(.signal(signal))
      if signal == SIGINT, ledger.isOut {
        voice.say("the tasks that run may finish: press Ctrl-C again to kill them")
      }
      // The signal replaces an earlier reason: tasks that fail from now on may fail because of it.
      closing = .signal(signal)
      return
    }
    for link in links where link.state == .ready { link.send(.kill) }
  }

  // MARK: - The end

  private func checkEnd() {
    if isShuttingDown { return checkShutDown() }
    guard ledger.isFinished || closing != nil && !ledger.isOut else { return }
    if log.failure != nil, closing?.interruptsTasks != true, !isLogLost { return }
    isShuttingDown = true
    for link in links { link.close() }
    loop.after(milliseconds: 20_000) { [weak self] in
      for link in self?.links ?? [] { link.end("the agent did not end in time") }
    }
    checkShutDown()
  }

  private var isLogLost: Bool {
    logStuckSince.map { Clock.milliseconds() - $0 > Coordinator.logPatience } ?? false
  }

  private func checkShutDown() {
    // An srun that still waits for its node is ended at once.
    for link in links where link.state == .starting { link.end("") }
    if links.allSatisfy({ $0.state == .idle }) { loop.stop() }
  }

  // MARK: - From time to time

  private func tick() {
    ticks += 1
    watchLog()
    if let time, let seconds = options.taskTime, closing == nil, ticks % 2 == 1,
      time.isShorter(than: seconds)
    {
      close(.outOfTime)
    }
    if ticks % 20 == 0 { watchAgents() }
    voice.show(progress(closing == nil ? .running : .closing))
    checkEnd()
    loop.after(milliseconds: Coordinator.tickInterval) { [weak self] in self?.tick() }
  }

  private func watchLog() {
    if let failure = log.failure, !log.flush() {
      if isLogLost { close(.failure("\(failure)")) }
      if logStuckSince != nil { return }
      logStuckSince = Clock.milliseconds()
      voice.say("\(failure): nothing new begins until there is room: free some space")
    } else if logStuckSince != nil {
      logStuckSince = nil
      voice.say("write \(options.logPath): there is room again, and the pool goes on")
    }
    // A result may have flushed the log meanwhile, which also ends the pause.
    handOutAll()
  }

  private func watchAgents() {
    let now = Clock.milliseconds()
    for link in links where link.state == .ready {
      let isSilent = now - link.lastHeard > Coordinator.silence
      if isSilent && !link.isSilent {
        voice.say(
          "node \(link.node.name): no word for \(Coordinator.silence / 1000) s: it gets no new task"
        )
      }
      link.isSilent = isSilent
      link.send(.ping)
    }
  }

  func progress(_ state: PoolProgress.State) -> PoolProgress {
    var progress = PoolProgress()
    progress.job = allocation.job ?? "0"
    progress.state = state
    (progress.total, progress.done, progress.failed) = (ledger.total, ledger.ended, ledger.failed)
    progress.running = links.reduce(0) { $0 + min($1.tasks.count, $1.node.slots) }
    return progress
  }

  // MARK: - Agents

  private func start(_ link: AgentLink) {
    do throws(SystemError) { try link.start() } catch {
      self.link(link, ended: "\(error)")
    }
  }

  private func account(_ link: AgentLink, _ milliseconds: Int) {
    link.deaths = 0
    meanMilliseconds = (meanMilliseconds ?? Double(milliseconds)) * 0.9 + Double(milliseconds) * 0.1
  }

  /// How many tasks may wait for each slot.
  private var reserve: Double {
    meanMilliseconds.map { Coordinator.reserve / max($0, 0.3) } ?? 0
  }
}

// MARK: - Messages of agents

extension Coordinator: AgentLinkOwner {
  package func linkIsReady(_ link: AgentLink) {
    if isShuttingDown { return link.close() }
    if closing != nil { return link.send(.stop) }
    handOut(link)
  }

  package func linkIsRead(_ link: AgentLink) {
    handOut(link)
    checkEnd()
  }

  package func link(_ link: AgentLink, took frame: Frame) -> Bool {
    switch frame.kind {
    case .output:
      if let speaker, speaker !== link { return false }
      speaker = link
      voice.write(frame.bytes)
    case .done: done(link, frame.numbers)
    case .failed:
      let reason = String(decoding: frame.bytes, as: UTF8.self)
      if let task = taskOf(link, frame) {
        voice.say("node \(link.node.name): task \(task): \(reason)")
        settle(
          task, link, TaskEnd(exitStatus: TaskRecord.notStarted, start: Clock.wallMilliseconds()))
      }
    case .back, .interrupted:
      if let task = taskOf(link, frame) { ledger.giveBack(task) }
      if frame.kind == .back {
        link.wantsReserve = false
        handOutAll()
      }
    case .idle: link.wantsReserve = true
    case .leaving: leaving(link)
    case .note:
      voice.say("node \(link.node.name): \(String(decoding: frame.bytes, as: UTF8.self))")
    default: break
    }
    return true
  }

  private func taskOf(_ link: AgentLink, _ frame: Frame) -> Int? {
    link.isIsolated = false
    guard let task = frame.numbers.first, link.forget(task), ledger.isOut(task) else {
      link.end("the agent speaks of a task that it does not have")
      return nil
    }
    return task
  }

  private func done(_ link: AgentLink, _ numbers: [Int]) {
    if speaker === link { endSpeech() }
    guard numbers.count == 8, let task = taskOf(link, Frame(.done, numbers)) else { return }
    account(link, numbers[4])
    settle(
      task, link,
      TaskEnd(
        exitStatus: numbers[1], signal: numbers[2], start: numbers[3], runMilliseconds: numbers[4],
        processorMilliseconds: numbers[5], peakKilobytes: numbers[6], received: numbers[7]))
  }

  /// The output of a task is complete, so other agents may print theirs.
  private func endSpeech() {
    speaker = nil
    loop.postpone { [weak self] in
      for link in self?.links ?? [] where self?.speaker == nil { link.resume() }
    }
  }

  /// A task has ended: it is logged, or it runs again.
  private func settle(_ task: Int, _ link: AgentLink, _ end: TaskEnd) {
    let attempt = ledger.attempt(task)
    if end.status != 0 {
      if closing?.interruptsTasks == true { return ledger.giveBack(task) }
      if attempt <= options.retries { return ledger.retry(task) }
    }
    record(task, link, end, attempt)
  }

  private func record(_ task: Int, _ link: AgentLink, _ end: TaskEnd, _ attempt: Int) {
    let command: [UInt8]
    do throws(TaskFileError) { command = Array(try tasks.command(task, for: .log)) } catch {
      command = []
      close(.failure(error.description))
    }
    let record = TaskRecord(
      task: task, host: link.host, start: end.start, runMilliseconds: end.runMilliseconds,
      received: end.received, exitStatus: end.exitStatus, signal: end.signal, command: command,
      attempt: attempt, processorMilliseconds: end.processorMilliseconds,
      peakKilobytes: end.peakKilobytes)
    log.append(record)
    ledger.end(task, status: record.status)
    if record.status != 0 { voice.noteFailure(task) }
  }

  /// Slurm ends the agent's step, and usually the whole job.
  private func leaving(_ link: AgentLink) {
    link.close()
  }

  package func link(_ link: AgentLink, said line: String) {
    voice.say("node \(link.node.name): \(line)")
  }

  package func link(_ link: AgentLink, ended reason: String?) {
    if speaker === link { endSpeech() }
    let (begun, waiting) = link.takeAll()
    for task in waiting { ledger.giveBack(task) }
    for task in begun {
      if closing?.interruptsTasks == true {
        ledger.giveBack(task)
      } else if !ledger.crash(task) {
        voice.say("task \(task): \(Ledger.mostCrashes) nodes died under it: it is given up")
        let end = TaskEnd(exitStatus: TaskRecord.unknown, start: Clock.wallMilliseconds())
        record(task, link, end, ledger.attempt(task) - 1)
      }
    }
    if !isShuttingDown { comeBack(link, reason, handedOn: begun.count + waiting.count) }
    handOutAll()
    checkEnd()
  }

  private func comeBack(_ link: AgentLink, _ reason: String?, handedOn: Int) {
    link.deaths += 1
    let words = "node \(link.node.name): \(reason ?? "the agent was told to end")"
    let tasks = handedOn == 0 ? "" : ": its \(handedOn) tasks are handed on"
    if closing != nil { return }
    guard link.deaths < Coordinator.mostDeaths else {
      voice.say("\(words)\(tasks): the node is given up")
      if links.allSatisfy({ $0.deaths >= Coordinator.mostDeaths }) {
        close(.failure("every node is given up"))
      }
      return
    }
    voice.say("\(words)\(tasks)")
    loop.after(milliseconds: 500 << link.deaths) { [weak self] in
      guard let self, closing == nil, !isShuttingDown, link.state == .idle else { return }
      start(link)
    }
  }
}

/// What an agent reports of a task that has ended.
private struct TaskEnd {
  var exitStatus: Int
  var signal = 0
  var start: Int
  var runMilliseconds = 0
  var processorMilliseconds = 0
  var peakKilobytes = 0
  var received = 0

  var status: Int { signal > 0 ? 128 + signal : exitStatus }
}
