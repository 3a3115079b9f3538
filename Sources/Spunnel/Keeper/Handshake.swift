// What ssh is asked once it has logged in: to take connections for each forward on a unix socket
// of ours, and, the first time, whether the far sshd allows them at all.

import Glibc
import SpunnelSystem

final class Handshake {
  enum Outcome {
    case ready(ForwardSockets)
    /// One line for the user.
    case failed(String)
    /// ssh is gone; its end says why.
    case lost
  }

  /// The service listens here, as the exec host sees it: on 127.0.0.1, ::1 or both.
  private static let serviceHost = "localhost"
  /// Milliseconds after which silence is taken for a service that is slow to accept.
  private static let probePatience = 1000
  /// Milliseconds that a probe may take before it is helped on.
  private static let nudgePause = 4

  private let loop: EventLoop
  private let record: Record
  private let node: NodeName
  private let forwards: [Forward]
  private let master: SocketHandle
  private var control: ControlConnection?
  private var unopened: Int
  private var unprobed: [Forward]
  private var timers: [EventLoop.Timer] = []
  private let lastWords: () -> String?
  private var done: ((Outcome) -> Void)?

  /// - Parameters:
  ///   - record: where ssh's control socket is and the forwards' sockets will be
  ///   - request: node and forwards
  ///   - isFirst: whether to ask the far sshd for each forward
  ///   - lastWords: why ssh could not open a channel, as it said last
  ///   - done: told once
  init(
    _ loop: EventLoop, _ record: Record, _ request: KeeperRequest, isFirst: Bool,
    lastWords: @escaping () -> String?, done: @escaping (Outcome) -> Void
  ) throws(SystemError) {
    self.loop = loop
    self.record = record
    node = request.node
    forwards = request.spec.forwards
    unopened = forwards.count
    unprobed = isFirst ? forwards.reversed() : []
    self.lastWords = lastWords
    self.done = done
    master = try SocketHandle(RecordFile.control, in: record.directory)
  }

  /// Begins; `done` is told later.
  func start() throws(SystemError) {
    let control = try ControlConnection(loop, master: master)
    self.control = control
    let requests = forwards.map { forward in
      MultiplexRequest.forward(
        path: record.socketPath(of: forward.submit), host: Handshake.serviceHost,
        port: forward.exec)
    }
    try control.ask(requests) { [weak self] in self?.opened($0) }
  }

  /// Gives up without a word.
  func stop() { finish(nil) }

  private func opened(_ reply: MultiplexReply?) {
    switch reply {
    case .done:
      unopened -= 1
      if unopened == 0 { probeNext() }
    case .failed(let reason):
      finish(.failed("ssh does not listen on '\(record.directory.path)': \(printable(reason))"))
    default: finish(.lost)
    }
  }

  // MARK: Probing

  /// Opens each forward once and closes it again: an sshd that forbids it says so only then.
  private func probeNext() {
    control?.abandon()
    guard let forward = unprobed.popLast() else { return ready() }
    do throws(SystemError) {
      control = try probe(forward) { [weak self] in self?.probed(forward, $0) }
      after(Handshake.nudgePause) { $0.nudge(forward) }
      after(Handshake.probePatience) { $0.probeNext() }
    } catch { finish(.failed("\(node):\(forward.exec): \(error)")) }
  }

  private func probe(
    _ forward: Forward, _ notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) -> ControlConnection {
    let control = try ControlConnection(loop, master: master)
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let request = MultiplexRequest.connect(host: Handshake.serviceHost, port: forward.exec)
    try control.ask([request], descriptors: [null.raw, null.raw], notify: notify)
    return control
  }

  /// Asks a second time. sshd leaves Nagle's algorithm on: its answer to the first probe stays
  /// behind its announcement of host keys until this host acknowledges that, which takes 40 ms
  /// unless there is something else to send.
  private func nudge(_ forward: Forward) {
    // Without it the answer comes all the same, only later.
    let second = try? probe(forward) { _ in }
    second?.abandon()
  }

  private func probed(_ forward: Forward, _ reply: MultiplexReply?) {
    cancelTimers()
    switch reply {
    case .none: finish(.lost)
    case .failed:
      // "Connection refused" is the usual case: the service is not there yet.
      if let last = lastWords(), last.contains("prohibited") {
        let diagnosis = SSHDiagnosis(refusal: last, node: node)
        return finish(.failed("\(node):\(forward.exec): \(diagnosis.message)"))
      }
      probeNext()
    default: probeNext()
    }
  }

  // MARK: The end

  private func ready() {
    do throws(SystemError) {
      finish(.ready(try ForwardSockets(forwards, in: record)))
    } catch { finish(.failed("\(error)")) }
  }

  private func finish(_ outcome: Outcome?) {
    cancelTimers()
    control?.abandon()
    control = nil
    let told = done
    done = nil
    if let outcome { told?(outcome) }
  }

  private func after(_ milliseconds: Int, _ action: @escaping (Handshake) -> Void) {
    timers.append(
      loop.after(milliseconds: milliseconds) { [weak self] in
        if let self, self.done != nil { action(self) }
      })
  }

  private func cancelTimers() {
    for timer in timers { loop.cancel(timer) }
    timers = []
  }
}

/// The unix sockets on which ssh takes connections, by submit port.
final class ForwardSockets {
  private var handles: [Port: ForwardSocket] = [:]

  init(_ forwards: [Forward], in record: Record) throws(SystemError) {
    for forward in forwards {
      handles[forward.submit] = ForwardSocket(
        try SocketHandle(RecordFile.socket(of: forward.submit), in: record.directory))
    }
  }

  /// Connects to the service behind a forward, without waiting.
  ///
  /// - Throws: `EAGAIN` when ssh has too many connections waiting, `ECONNREFUSED` when it is gone
  func connect(_ forward: Forward) throws(SystemError) -> FileDescriptor {
    guard let socket = handles[forward.submit] else { throw SystemError("connect", ENOENT) }
    return try socket.handle.connect()
  }
}

private final class ForwardSocket {
  let handle: SocketHandle
  init(_ handle: consuming SocketHandle) { self.handle = handle }
}
