// The coordinator's end of one agent: srun with its standard input and output, started again if it dies.

import Glibc
import SpunnelSystem

/// What a link tells its coordinator.
package protocol AgentLinkOwner: AnyObject {
  /// The agent said its greeting and takes tasks.
  func linkIsReady(_ link: AgentLink)
  /// - Returns: false if the frame has to wait: the link keeps it until `resume`
  func link(_ link: AgentLink, took frame: Frame) -> Bool
  /// The agent has been read up to here.
  func linkIsRead(_ link: AgentLink)
  /// srun, or the agent, wrote a line to standard error.
  func link(_ link: AgentLink, said line: String)
  /// srun and the agent are gone; `reason` is nil if the end was wanted.
  func link(_ link: AgentLink, ended reason: String?)
}

/// One node's agent.
package final class AgentLink: EventHandler {
  package enum State: Equatable { case idle, starting, ready, ending }

  package let node: Allocation.Node
  private let command: AgentCommand
  private let loop: EventLoop
  private unowned let owner: any AgentLinkOwner
  package private(set) var state = State.idle
  private var process: pid_t = 0
  private var ending: Ending?
  private var input: OpenFile?
  private var output: OpenFile?
  private var errors: OpenFile?
  private var errorText = FrameReader()
  private var outgoing: [UInt8] = []
  private var isWatchingInput = false
  private var reader = FrameReader()
  private var held: Frame?
  private var reason: String?
  private var isEndWanted = false
  /// The agent's own name for its node.
  package private(set) var host: String

  // The coordinator's accounts of this agent.
  /// Tasks at the agent, and the order in which they went there.
  package private(set) var tasks: [Int: Int] = [:]
  private var lastOrder = 0
  /// Whether a processor of the node was without work: tasks are to wait there beside those that run.
  package var wantsReserve = false
  /// Deaths since a task ended here.
  package var deaths = 0
  /// When the agent was heard last.
  package var lastHeard = 0
  package var isSilent = false
  /// The agent has a task that must be alone.
  package var isIsolated = false

  package init(
    _ node: Allocation.Node, _ command: AgentCommand, _ loop: EventLoop, _ owner: any AgentLinkOwner
  ) {
    self.node = node
    self.command = command
    self.loop = loop
    self.owner = owner
    host = node.name
  }

  /// How many tasks may go there now. A reserve is filled up when half of it is used: few large messages cost
  /// less than many small ones.
  ///
  /// - Parameter reserve: tasks that may wait at the agent for each processor
  package func room(reserve: Double) -> Int {
    guard state == .ready, !isSilent, !isEndWanted, !isIsolated else { return 0 }
    let waiting = wantsReserve ? min(Int(Double(node.slots) * reserve), AgentLink.mostWaiting) : 0
    if tasks.count > node.slots + waiting / 2 { return 0 }
    return max(0, node.slots + waiting - tasks.count)
  }

  /// Most tasks that wait at one agent.
  private static let mostWaiting = 2048

  // MARK: - Life

  /// Starts srun.
  package func start() throws(SystemError) {
    let words = command.words(node).map { ByteString($0) }
    let toAgent = try FileDescriptor.pipe(childHas: .reader)
    let fromAgent = try FileDescriptor.pipe(childHas: .writer)
    let errors = try FileDescriptor.pipe(childHas: .writer)
    var program = Program(
      path: words[0], arguments: words,
      environment: command.environment(from: Process.environment()),
      descriptors: [toAgent.reader.raw, fromAgent.writer.raw, errors.writer.raw])
    program.parentDeathSignal = SIGTERM
    program.newSession = false
    process = try program.start()
    reader = FrameReader()
    (reason, isEndWanted, isSilent, isIsolated) = (nil, false, false, false)
    (wantsReserve, outgoing, held) = (false, [], nil)
    lastHeard = Clock.milliseconds()
    state = .starting
    try keep(toAgent, fromAgent, errors)
  }

  private func keep(
    _ toAgent: consuming Pipe, _ fromAgent: consuming Pipe, _ errors: consuming Pipe
  ) throws(SystemError) {
    try loop.add(fromAgent.reader.raw, .input, self)
    try loop.add(errors.reader.raw, .input, self)
    self.errors = OpenFile(AgentLink.reader(of: errors))
    errorText = FrameReader()
    input = OpenFile(AgentLink.writer(of: toAgent))
    output = OpenFile(AgentLink.reader(of: fromAgent))
  }

  private static func writer(of pipe: consuming Pipe) -> FileDescriptor { pipe.writer }
  private static func reader(of pipe: consuming Pipe) -> FileDescriptor { pipe.reader }

  /// Closes the agent's input: the agent ends by itself, and srun with it.
  package func close() {
    isEndWanted = true
    closeInput()
  }

  /// Ends srun: TERM, some time, KILL.
  package func end(_ reason: String) {
    if self.reason == nil { self.reason = reason }
    closeInput()
    if let output { loop.remove(output.raw) }
    output = nil
    guard state != .idle, ending == nil else { return }
    state = .ending
    ending = Ending(process, patience: 10_000)
    advance()
  }

  private func closeInput() {
    if isWatchingInput, let input { loop.remove(input.raw) }
    isWatchingInput = false
    input = nil
  }

  /// Looks whether srun has ended; to be called after each SIGCHLD.
  package func lookAfter() {
    if ending != nil { return advance() }
    guard state != .idle, case .ended(let status) = Process.poll(process) else { return }
    // What the agent said last is still in the pipe.
    while output != nil, held == nil, readOnce() {}
    if reason == nil && !(isEndWanted && status == 0) {
      reason =
        status > 128
        ? "srun was ended by signal \(status - 128)" : "srun ended with status \(status)"
    }
    finish()
  }

  private func advance() {
    guard let ending else { return }
    if ending.advance() { return finish() }
    if ending.isTimed {
      loop.after(milliseconds: 100) { [weak self] in
        guard let self, self.ending === ending else { return }
        advance()
      }
    }
  }

  private func finish() {
    closeInput()
    while readErrors() {}
    if let output { loop.remove(output.raw) }
    if let errors { loop.remove(errors.raw) }
    (output, errors) = (nil, nil)
    ending = nil
    state = .idle
    owner.link(self, ended: reason)
  }

  // MARK: - Tasks

  /// Hands a task out; `flush` sends it.
  package func hand(_ task: Int, _ command: ArraySlice<UInt8>) {
    lastOrder += 1
    tasks[task] = lastOrder
    Frame(.task, [task], Array(command)).append(to: &outgoing)
  }

  /// Forgets a task. - Returns: false if the task was not here
  package func forget(_ task: Int) -> Bool { tasks.removeValue(forKey: task) != nil }

  /// Gives up all tasks, those first that may have begun: the agent begins tasks in their order.
  package func takeAll() -> (begun: [Int], waiting: [Int]) {
    isIsolated = false
    let order = tasks.sorted { $0.value < $1.value }.map(\.key)
    tasks = [:]
    return (Array(order.prefix(node.slots)), Array(order.dropFirst(node.slots)))
  }

  package func send(_ kind: Frame.Kind) {
    Frame(kind).append(to: &outgoing)
    flush()
  }

  /// Writes what there is room for.
  package func flush() {
    guard let input else { return outgoing = [] }
    while !outgoing.isEmpty {
      let count = unsafe outgoing.withUnsafeBytes {
        unsafe Glibc.write(input.raw, $0.baseAddress, $0.count)
      }
      let code = errno
      if count < 0 && code == EINTR { continue }
      if count < 0 && code == EAGAIN { return watchInput() }
      // srun is gone: its end is told by SIGCHLD.
      if count < 0 { return outgoing = [] }
      if count == outgoing.count {
        outgoing.removeAll(keepingCapacity: true)
      } else {
        outgoing.removeFirst(count)
      }
    }
    if isWatchingInput { loop.remove(input.raw) }
    isWatchingInput = false
  }

  private func watchInput() {
    guard !isWatchingInput, let input else { return }
    do throws(SystemError) {
      try loop.add(input.raw, .output, self)
      isWatchingInput = true
    } catch { end("\(error)") }
  }

  // MARK: - What comes in

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if let input, descriptor == input.raw { return flush() }
    if let errors, descriptor == errors.raw {
      _ = readErrors()
    } else {
      _ = readOnce()
    }
  }

  /// - Returns: whether something was read
  private func readErrors() -> Bool {
    guard let errors else { return false }
    guard let bytes = try? errors.descriptor.read(atMost: 4096) else { return false }
    if bytes.isEmpty {
      loop.remove(errors.raw)
      self.errors = nil
      return false
    }
    errorText.feed(bytes)
    while let line = errorText.nextLine() {
      // Where Slurm binds no processors, srun says that it does not.
      if !line.isEmpty, !line.hasSuffix("lacks support for cpu binding") {
        owner.link(self, said: line)
      }
    }
    return true
  }

  /// Takes the frame that had to wait, and those behind it.
  package func resume() {
    guard let frame = held, let output else { return }
    held = nil
    do throws(SystemError) { try loop.add(output.raw, .input, self) } catch {
      return end("\(error)")
    }
    guard take(frame) else { return }
    takeFrames()
    owner.linkIsRead(self)
  }

  /// - Returns: whether something was read
  private func readOnce() -> Bool {
    guard let output else { return false }
    do throws(SystemError) {
      guard let bytes = try output.descriptor.read(atMost: 1 << 17) else { return false }
      if bytes.isEmpty {
        loop.remove(output.raw)
        self.output = nil
        waitForEnd()
        return false
      }
      lastHeard = Clock.milliseconds()
      reader.feed(bytes)
      takeFrames()
    } catch { end("read from srun: \(error.reason)") }
    owner.linkIsRead(self)
    return true
  }

  /// The agent said its last word, and srun is expected to end.
  private func waitForEnd() {
    let process = process
    loop.after(milliseconds: 10_000) { [weak self] in
      guard let self, self.process == process, state != .idle else { return }
      end("the agent closed its output, and srun went on")
    }
  }

  private func takeFrames() {
    do throws(FrameError) {
      while state == .starting, let line = reader.nextLine() {
        // What a site's task prolog prints comes first.
        guard line.hasPrefix(Frame.greeting + " ") else { continue }
        host = String(line.dropFirst(Frame.greeting.utf8.count + 1))
        state = .ready
        owner.linkIsReady(self)
      }
      while state == .ready, held == nil, let frame = try reader.next() {
        guard take(frame) else { return }
      }
    } catch { end("read what the agent says: \(error)") }
  }

  private func take(_ frame: Frame) -> Bool {
    if owner.link(self, took: frame) { return true }
    held = frame
    if let output { loop.remove(output.raw) }
    return false
  }
}
