// The two small files that say what a tunnel is and how it does: `host` and `status`, lines of a
// key, a space and a value. Unknown keys are passed over, so that versions can meet.

/// Where a tunnel leads: the content of `host`, written once.
public struct HostFile: Equatable, Sendable {
  public let node: NodeName
  public let forwards: [Forward]

  public init(node: NodeName, forwards: [Forward]) {
    self.node = node
    self.forwards = forwards
  }

  /// - Returns: `nil` when the text is damaged: no valid node, or a forward that is none
  public init?(_ text: String) {
    var node: NodeName?
    var forwards: [Forward] = []
    for (key, value) in keyedLines(text) {
      switch key {
      case "node": node = NodeName(value)
      case "forward":
        guard let spec = try? TunnelSpec(String(value)) else { return nil }
        forwards += spec.forwards
      default: break
      }
    }
    guard let node, !forwards.isEmpty else { return nil }
    self.init(node: node, forwards: forwards)
  }

  public var text: String {
    "node \(node)\n" + forwards.map { "forward \($0)\n" }.joined()
  }
}

/// How a tunnel does: the content of `status`, replaced as a whole whenever it changes.
public struct Status: Equatable, Sendable {
  public enum State: String, CaseIterable, Sendable {
    /// The first connection to the node is being made.
    case starting
    case up
    /// The connection was lost and is being made again; the ports are kept.
    case reconnecting
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
  /// The process id of ssh, 0 while there is none.
  public var ssh = 0
  /// The way that ssh takes, `nil` while nobody has said.
  public var transport: Transport?

  public init() {}

  private static let numbers: [(String, WritableKeyPath<Status, Int> & Sendable)] = [
    ("since", \.since), ("started", \.started), ("connections", \.connections),
    ("accepted", \.accepted), ("refused", \.refused), ("sent", \.sent), ("received", \.received),
    ("keeper", \.keeper), ("ssh", \.ssh),
  ]

  /// - Returns: `nil` when the text is damaged: no valid state, or a number that is none
  public init?(_ text: String) {
    var state: State?
    for (key, value) in keyedLines(text) {
      if key == "state" { state = State(rawValue: String(value)) }
      if key == "transport" { transport = Transport(rawValue: String(value)) }
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
  }
}

/// The lines of a text, each split at its first space; lines without one are passed over.
private func keyedLines(_ text: String) -> [(key: Substring, value: Substring)] {
  text.split(separator: "\n").compactMap { line in
    guard let space = line.firstIndex(of: " ") else { return nil }
    return (line[..<space], line[line.index(after: space)...])
  }
}
