// What spunnelctl asks of a keeper, and what the keeper answers: lines over a unix socket in the
// record, one request a connection.

/// A request, as one line.
public enum KeeperCommand: Equatable, Sendable {
  /// Adds forwards to the tunnel.
  /// - isHeld: whether they live as long as the connection; otherwise as long as the tunnel
  case open(TunnelSpec, isHeld: Bool)
  /// Gives forwards up, those with the same submit ends.
  case close(TunnelSpec)
  /// Finds out whether anything listens at the far ends.
  case probe

  /// - Parameter line: without its newline
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

  /// With its newline.
  public var line: String {
    switch self {
    case .open(let spec, let isHeld): "\(isHeld ? "hold" : "open") \(spec)\n"
    case .close(let spec): "close \(spec)\n"
    case .probe: "probe\n"
    }
  }
}

/// What a keeper says, to srun through the lifeline and to spunnelctl over the command socket.
public enum KeeperReport: Equatable, Sendable {
  /// The submit ends are held; exec ports that are to be chosen are not known yet.
  case bound([Forward])
  /// The forwards lead where they should.
  case ready([Forward])
  /// The job has not started; the submit ports are held, those that were free to choose as well.
  case waiting(TunnelSpec)
  /// What was asked for is done.
  case done
  /// These forwards were given up, as they had been asked for.
  case closed(TunnelSpec)
  /// Something befell forwards that go on.
  case news(KeeperNews)
  /// One line for the user.
  case failed(String)
  /// The tunnel ended, as it was to.
  case over(String)

  /// Why a tunnel is over when its step is.
  public static let stepEnded = "srun ended"

  /// - Parameter line: without its newline
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

  /// With its newline.
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

/// What befalls forwards, in a line for people.
public struct KeeperNews: Equatable, Sendable {
  public enum Kind: String, Sendable {
    /// Nothing listens at the far end of one.
    case refused
    /// There is no connection to the node, and why; it is tried on.
    case trying
    /// The connection to the node was lost, and why.
    case lost
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
