// The coordinator's side of one agent: an srun with its pipes, restarted if it dies.

import Glibc
import SpunnelSystem

/// Events of a link, for its coordinator.
package protocol AgentLinkOwner: AnyObject {
  /// The agent has greeted and accepts tasks.
  func linkIsReady(_ link: AgentLink)
  /// The agent sent a frame.
  ///
  /// - Returns: false if the frame has to wait; the link keeps it until `resume`
  func link(_ link: AgentLink, took frame: Frame) -> Bool
  /// All available frames of the agent are read.
  func linkIsRead(_ link: AgentLink)
  /// srun or the agent wrote a line to standard error.
  func link(_ link: AgentLink, said line: String)
  /// srun and the agent have ended; `reason` is `nil` if the end was wanted.
  func link(_ link: AgentLink, ended reason: String?)
}

/// The link to one node's agent.
package final class AgentLink: EventHandler {
  /// The state of srun: `ready` after the agent's greeting, `ending` after the first signal.
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
  /// The name of the node as the agent says it.
  package private(set) var host: String

  // The coordinator's accounts of this agent.
  /// The tasks at the agent, each with the order in which it was sent.
  package private(set) var tasks: [Int: Int] = [:]
  private var lastOrder = 0
  /// Whether a slot of the node ran out of work, so that tasks should also wait there.
  package var wantsReserve = false
  /// Deaths of the agent since a task last ended there.
  package var deaths = 0
  /// When the agent last sent something, in milliseconds of the monotonic clock.
  package var lastHeard = 0
  package var isSilent = false
  /// Whether the agent has a task that must run alone.
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

  /// How many tasks may be sent now. The reserve is refilled when half of it is used: a few large
  /// messages cost less than many small ones.
  ///
  /// - Parameter reserve: how many tasks may wait at the agent for each slot
  package func room(reserve: Double) -> Int {
    guard state == .ready, !isSilent, !isEndWanted, !isIsolated else { return 0 }
    let waiting = wantsReserve ? min(Int(Double(node.slots) * reserve), AgentLink.mostWaiting) : 0
    if tasks.count > node.slots + waiting / 2 { return 0 }
    return max(0, node.slots + waiting - tasks.count)
  }

  /// The most tasks that wait at one agent.
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

  /// Closes the agent's input. The agent then ends, and srun with it.
  package func close() {
    isEndWanted = true
    closeInput()
  }

  /// Ends srun: TERM, a bounded wait, KILL.
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

  /// Checks whether srun has ended. Call it after each SIGCHLD.
  package func lookAfter() {
    if ending != nil { return advance() }
    guard state != .idle, case .ended(let status) = Process.poll(process) else { return }
    // The last frames of the agent may still be in the pipe.
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

  /// Queues a task for the agent; `flush` sends it.
  package func hand(_ task: Int, _ command: ArraySlice<UInt8>) {
    lastOrder += 1
    tasks[task] = lastOrder
    Frame(.task, [task], Array(command)).append(to: &outgoing)
  }

  /// Removes a task from the accounts.
  ///
  /// - Returns: false if the task was not at this agent
  package func forget(_ task: Int) -> Bool { tasks.removeValue(forKey: task) != nil }

  /// Removes all tasks. An agent begins its tasks in order, so the first ones may have begun.
  package func takeAll() -> (begun: [Int], waiting: [Int]) {
    isIsolated = false
    let order = tasks.sorted { $0.value < $1.value }.map(\.key)
    tasks = [:]
    return (Array(order.prefix(node.slots)), Array(order.dropFirst(node.slots)))
  }

  /// Sends a frame without numbers or bytes at once.
  ///
  /// - Parameter kind: the kind of the frame
  package func send(_ kind: Frame.Kind) {
    Frame(kind).append(to: &outgoing)
    flush()
  }

  /// Writes as much as the pipe accepts.
  package func flush() {
    guard let input else { return outgoing = [] }
    while !outgoing.isEmpty {
      let count = unsafe outgoing.withUnsafeBytes {
        unsafe Glibc.write(input.raw, $0.baseAddress, $0.count)
      }
      let code = errno
      if count < 0 && code == EINTR { continue }
      if count < 0 && code == EAGAIN { return watchInput() }
      // srun has ended. SIGCHLD reports it.
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

  // MARK: - Input

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if let input, descriptor == input.raw { return flush() }
    if let errors, descriptor == errors.raw {
      _ = readErrors()
    } else {
      _ = readOnce()
    }
  }

  /// - Returns: whether bytes were read
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
      // srun prints this on clusters where Slurm binds no processors.
      if !line.isEmpty, !line.hasSuffix("lacks support for cpu binding") {
        owner.link(self, said: line)
      }
    }
    return true
  }

  /// Takes the frame that had to wait, and those after it.
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

  /// - Returns: whether bytes were read
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

  /// The agent has closed its output. srun must end soon.
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
        // Lines before the greeting come from a site's task prolog.
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
