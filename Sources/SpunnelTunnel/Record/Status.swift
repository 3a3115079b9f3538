// The two files that describe a tunnel: `host` and `status`. Each line is a key, a space and a
// value. Unknown keys are skipped, so that different versions can read each other's files.

import SpunnelSlurm
import SpunnelSystem

/// Where a tunnel leads: the content of `host`. The file is replaced as a whole at each change.
public struct HostFile: Equatable, Sendable {
  /// The nodes of the step, in Slurm's order; empty while the job has not started.
  public var nodes: [NodeName]
  public var forwards: [Forward]
  /// Specs that were asked for and have no forwards yet.
  /// Specs that were asked for and failed.
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

  /// Limits above any real tunnel. A file that exceeds them was not written by Spunnel.
  static let most = (nodes: 100_000, forwards: 10_000)

  /// Reads the file.
  ///
  /// - Returns: `nil` when the text is damaged: empty, a malformed node, forward or spec, or too
  ///   many of them
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

  /// The content of the file.
  public var text: String {
    nodes.map { "node \($0)\n" }.joined() + forwards.map { "forward \($0.words)\n" }.joined()
      + waiting.map { "waiting \($0)\n" }.joined() + failed.map { "failed \($0)\n" }.joined()
  }

  /// Whether a submit port belongs to the tunnel.
  public func holds(_ port: Port) -> Bool {
    forwards.contains { $0.kind != .remote && $0.listen == .port(port) }
      || waiting.contains { $0.ports.contains(port) }
  }
}

/// The state of a tunnel: the content of `status`. The file is replaced as a whole at each change.
public struct Status: Equatable, Sendable {
  /// The state of the tunnel as a whole.
  public enum State: String, CaseIterable, Sendable {
    /// The job has not started. The ports are held.
    case waiting
    /// The first connection to the node is being made.
    case starting
    case up
    /// The connection was lost and is being made again. The ports are held.
    case reconnecting
    /// All forwards failed, and no port is held. The record keeps the reasons while the job exists.
    case failed
    /// The end was requested.
    case closing
    /// No keeper holds the record. This state is never written, only found.
    case stale
  }

  public var state = State.starting
  /// When this state began, in milliseconds since 1970.
  public var since = 0
  /// When the tunnel was requested, in milliseconds since 1970.
  public var started = 0
  /// Connections that are open now.
  public var connections = 0
  /// Connections accepted from admitted users since the start.
  public var accepted = 0
  /// Connections refused because of their peer uid.
  public var refused = 0
  /// Bytes from the submit host to the exec host.
  public var sent = 0
  /// Bytes from the exec host to the submit host.
  public var received = 0
  /// The keeper's process id.
  public var keeper = 0
  /// The process id of ssh to the first node; 0 when no ssh runs.
  public var ssh = 0
  /// The state of the far ends, in the order of the host file's forwards.
  public var far: [FarEnd] = []
  /// The protocols of the services, in the same order; `nil` when unknown.
  public var spoken: [SpokenProtocol?] = []
  /// How ssh reaches the node; `nil` while this is undecided.
  public var transport: Transport?
  /// Why bytes go through srun's own I/O, which is slow; `nil` when they do not.
  public var detour: String?
  /// Why forwards are missing, one line each.
  public var reasons: [String] = []

  public init() {}

  private static let numbers: [(String, WritableKeyPath<Status, Int> & Sendable)] = [
    ("since", \.since), ("started", \.started), ("connections", \.connections),
    ("accepted", \.accepted), ("refused", \.refused), ("sent", \.sent), ("received", \.received),
    ("keeper", \.keeper), ("ssh", \.ssh),
  ]

  /// The most reasons in a file. A keeper writes fewer.
  static let mostReasons = 100

  /// Reads the file.
  ///
  /// - Returns: `nil` when the text is damaged: no valid state, a malformed number, or too many
  ///   lines
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

  /// The content of the file.
  public var text: String {
    "state \(state.rawValue)\n" + (transport.map { "transport \($0.rawValue)\n" } ?? "")
      + Status.numbers.map { "\($0.0) \(self[keyPath: $0.1])\n" }.joined()
      + far.map { "far \($0.rawValue)\n" }.joined()
      + spoken.map { "speaks \($0?.rawValue ?? "-")\n" }.joined()
      + (detour.map { "detour \(printable($0, atMost: LogLine.longest))\n" } ?? "")
      + reasons.map { "reason \(printable($0, atMost: LogLine.longest))\n" }.joined()
  }
}

/// The lines of a text, each split at its first space. Lines without a space are skipped.
private func keyedLines(_ text: String) -> some Sequence<(key: Substring, value: Substring)> {
  // Splits bytes rather than characters for speed: a command may read a thousand records.
  text.utf8.split(separator: UInt8(ascii: "\n")).lazy.compactMap { line in
    guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return nil }
    return (Substring(line[..<space]), Substring(line[line.index(after: space)...]))
  }
}
