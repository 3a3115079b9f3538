// The keeper's protocol: requests of spunnelctl and reports of the keeper. Each is one line over a
// unix socket in the record; a connection carries one request.

/// A request, as one line.
public enum KeeperCommand: Equatable, Sendable {
  /// Adds forwards to the tunnel.
  /// If `isHeld`, the forwards live as long as the connection; otherwise they live as long as the
  /// tunnel.
  case open(TunnelSpec, isHeld: Bool)
  /// Closes the forwards that have the same submit ends.
  case close(TunnelSpec)
  /// Checks whether anything listens at the far ends.
  case probe

  /// Reads a request.
  ///
  /// - Parameter line: one line without its newline
  /// - Returns: `nil` when the line is not a request
  public init?(line: String) {
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    switch (words.first, words.count) {
    case ("probe", 1): self = .probe
    case ("open", 2), ("hold", 2), ("close", 2):
      guard let spec = try? TunnelSpec(words[1]) else { return nil }
      self = words[0] == "close" ? .close(spec) : .open(spec, isHeld: words[0] == "hold")
    default: return nil
    }
  }

  /// The request as a line, with its newline.
  public var line: String {
    switch self {
    case .open(let spec, let isHeld): "\(isHeld ? "hold" : "open") \(spec)\n"
    case .close(let spec): "close \(spec)\n"
    case .probe: "probe\n"
    }
  }
}

/// A report of the keeper: to srun through the lifeline, to spunnelctl over the command socket.
public enum KeeperReport: Equatable, Sendable {
  /// The submit ends are held. Exec ports that are still to be chosen are unknown.
  case bound([Forward])
  /// The forwards are open end to end.
  case ready([Forward])
  /// The job has not started. The submit ports are held, with the free ones chosen.
  case waiting(TunnelSpec)
  /// The request is carried out.
  case done
  /// These forwards were closed on request.
  case closed(TunnelSpec)
  /// Something happened to forwards that stay open.
  case news(KeeperNews)
  /// The request failed, with one line for the user.
  case failed(String)
  /// The tunnel ended as planned, with the reason.
  case over(String)

  /// The reason in `over` when srun ended.
  public static let stepEnded = "srun ended"

  /// Reads a report.
  ///
  /// - Parameter line: one line without its newline
  /// - Returns: `nil` when the line is not a report
  public init?(line: String) {
    let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
    let rest = parts.count == 2 ? parts[1] : ""
    switch parts.first {
    case "waiting":
      guard let spec = try? TunnelSpec(rest) else { return nil }
      self = .waiting(spec)
    case "done": self = .done
    case "closed":
      guard let spec = try? TunnelSpec(rest) else { return nil }
      self = .closed(spec)
    case "news":
      guard let news = KeeperNews(rest) else { return nil }
      self = .news(news)
    case "failed": self = .failed(rest)
    case "over": self = .over(rest)
    case "bound", "ready":
      let words = rest.split(separator: ",")
      let forwards = words.compactMap { Forward(words: $0) }
      if forwards.count != words.count { return nil }
      self = parts[0] == "bound" ? .bound(forwards) : .ready(forwards)
    default: return nil
    }
  }

  /// The report as a line, with its newline.
  public var line: String {
    switch self {
    case .bound(let forwards): "bound \(KeeperReport.list(forwards))\n"
    case .ready(let forwards): "ready \(KeeperReport.list(forwards))\n"
    case .waiting(let spec): "waiting \(spec)\n"
    case .done: "done\n"
    case .closed(let spec): "closed \(spec)\n"
    case .news(let news): "news \(news.line)\n"
    case .failed(let reason): "failed \(reason)\n"
    case .over(let reason): "over \(reason)\n"
    }
  }

  private static func list(_ forwards: [Forward]) -> String {
    forwards.map(\.words).joined(separator: ",")
  }
}

/// A line for people about something that happened to forwards.
public struct KeeperNews: Equatable, Sendable {
  /// The kind of event.
  public enum Kind: String, Sendable {
    /// Nothing listens at the far end of a forward.
    case refused
    /// There is no connection to the node, with the reason. The keeper tries again.
    case trying
    /// The connection to the node was lost, with the reason.
    case lost
    /// The connection to the node is up again.
    case back
  }

  public let kind: Kind
  public let text: String

  public init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }

  /// Reads what `line` writes.
  init?(_ line: String) {
    let parts = line.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])) else { return nil }
    self.init(kind, String(parts[1]))
  }

  var line: String { "\(kind.rawValue) \(text)" }
}
