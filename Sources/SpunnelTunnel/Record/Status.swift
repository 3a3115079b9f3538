// The two small files that say what a tunnel is and how it does: `host` and `status`, lines of a
// key, a space and a value. Unknown keys are passed over, so that versions can meet.

import SpunnelSlurm
import SpunnelSystem

/// Where a tunnel leads: the content of `host`, replaced as a whole when forwards come and go.
public struct HostFile: Equatable, Sendable {
  /// The nodes of the step, in Slurm's order; empty while the job has not started.
  public var nodes: [NodeName]
  public var forwards: [Forward]
  /// What was asked for and has no forwards yet.
  public var waiting: [TunnelSpec]
  /// What was asked for and could not be had.
  public var failed: [TunnelSpec]

  public init(
    nodes: [NodeName], forwards: [Forward], waiting: [TunnelSpec] = [], failed: [TunnelSpec] = []
  ) {
    self.nodes = nodes
    self.forwards = forwards
    self.waiting = waiting
    self.failed = failed
  }

  /// Nobody has more: the record is not of our making.
  static let most = (nodes: 100_000, forwards: 10_000)

  /// - Returns: `nil` when the text is damaged: a node or a forward that is none, or too many
  public init?(_ text: String) {
    self.init(nodes: [], forwards: [])
    var asked = 0
    func spec(_ value: Substring) -> TunnelSpec? {
      let spec = try? TunnelSpec(String(value))
      asked += spec?.forwards.count ?? 0
      return spec
    }
    for (key, value) in keyedLines(text) {
      switch key {
      case "node":
        guard let node = NodeName(value) else { return nil }
        nodes.append(node)
      case "forward":
        guard let forward = Forward(words: value) else { return nil }
        forwards.append(forward)
      case "waiting":
        guard let spec = spec(value) else { return nil }
        waiting.append(spec)
      case "failed":
        guard let spec = spec(value) else { return nil }
        failed.append(spec)
      default: break
      }
      if nodes.count > HostFile.most.nodes || forwards.count > HostFile.most.forwards
        || asked > HostFile.most.forwards
      {
        return nil
      }
    }
    if nodes.isEmpty && forwards.isEmpty && waiting.isEmpty && failed.isEmpty { return nil }
  }

  public var text: String {
    nodes.map { "node \($0)\n" }.joined() + forwards.map { "forward \($0.words)\n" }.joined()
      + waiting.map { "waiting \($0)\n" }.joined() + failed.map { "failed \($0)\n" }.joined()
  }

  /// Whether a port of the submit host belongs to the tunnel.
  public func holds(_ port: Port) -> Bool {
    forwards.contains { $0.kind != .remote && $0.listen == .port(port) }
      || waiting.contains { $0.ports.contains(port) }
  }
}

/// How a tunnel does: the content of `status`, replaced as a whole whenever it changes.
public struct Status: Equatable, Sendable {
  public enum State: String, CaseIterable, Sendable {
    /// The job has not started; the ports are held.
    case waiting
    /// The first connection to the node is being made.
    case starting
    case up
    /// The connection was lost and is being made again; the ports are kept.
    case reconnecting
    /// Nothing that was asked for could be had: no port is held. The record says why while the job is
    /// there.
    case failed
    /// The end was asked for.
    case closing
    /// Nobody holds the record: its keeper is gone. Never written, only found.
    case stale
  }

  public var state = State.starting
  /// When this state began, in milliseconds since 1970.
  public var since = 0
  /// When the tunnel was asked for, in milliseconds since 1970.
  public var started = 0
  /// Connections that are open now.
  public var connections = 0
  /// Connections that were ever accepted from an allowed user.
  public var accepted = 0
  /// Connections that were refused because of their user.
  public var refused = 0
  /// Bytes from the submit host to the exec host.
  public var sent = 0
  /// Bytes from the exec host to the submit host.
  public var received = 0
  /// The keeper's process id.
  public var keeper = 0
  /// The process id of ssh to the first node, 0 while there is none.
  public var ssh = 0
  /// What is known of the far ends, in the order of the host file's forwards.
  public var far: [FarEnd] = []
  /// What the services speak, in the same order, as far as that is known.
  public var spoken: [SpokenProtocol?] = []
  /// The way that ssh takes, `nil` while nobody has said.
  public var transport: Transport?
  /// Why the bytes go through srun's own I/O, which is slow; `nil` where they do not.
  public var detour: String?
  /// Why forwards that were asked for are not there, a line each.
  public var reasons: [String] = []

  public init() {}

  private static let numbers: [(String, WritableKeyPath<Status, Int> & Sendable)] = [
    ("since", \.since), ("started", \.started), ("connections", \.connections),
    ("accepted", \.accepted), ("refused", \.refused), ("sent", \.sent), ("received", \.received),
    ("keeper", \.keeper), ("ssh", \.ssh),
  ]

  /// More than a keeper gives.
  static let mostReasons = 100

  /// - Returns: `nil` when the text is damaged: no valid state, a number that is none, or too many lines
  public init?(_ text: String) {
    var state: State?
    for (key, value) in keyedLines(text) {
      if key == "state" { state = State(rawValue: String(value)) }
      if key == "far" { far.append(FarEnd(rawValue: String(value)) ?? .unknown) }
      if key == "speaks" { spoken.append(SpokenProtocol(rawValue: String(value))) }
      if key == "transport" { transport = Transport(rawValue: String(value)) }
      if key == "detour" { detour = printable(value, atMost: LogLine.longest) }
      if key == "reason" { reasons.append(printable(value, atMost: LogLine.longest)) }
      if far.count > HostFile.most.forwards || spoken.count > HostFile.most.forwards
        || reasons.count > Status.mostReasons
      {
        return nil
      }
      guard let (_, path) = Status.numbers.first(where: { $0.0 == key }) else { continue }
      guard let number = wholeNumber(value) else { return nil }
      self[keyPath: path] = number
    }
    guard let state, state != .stale else { return nil }
    self.state = state
  }

  public var text: String {
    "state \(state.rawValue)\n" + (transport.map { "transport \($0.rawValue)\n" } ?? "")
      + Status.numbers.map { "\($0.0) \(self[keyPath: $0.1])\n" }.joined()
      + far.map { "far \($0.rawValue)\n" }.joined()
      + spoken.map { "speaks \($0?.rawValue ?? "-")\n" }.joined()
      + (detour.map { "detour \(printable($0, atMost: LogLine.longest))\n" } ?? "")
      + reasons.map { "reason \(printable($0, atMost: LogLine.longest))\n" }.joined()
  }
}

/// The lines of a text, each split at its first space; lines without one are passed over.
private func keyedLines(_ text: String) -> some Sequence<(key: Substring, value: Substring)> {
  // By bytes: a thousand records are read at once.
  text.utf8.split(separator: UInt8(ascii: "\n")).lazy.compactMap { line in
    guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return nil }
    return (Substring(line[..<space]), Substring(line[line.index(after: space)...]))
  }
}
