// What stands after `--tunnel`: text becomes a value that cannot be wrong, or an error that quotes
// it. The grammar is that of ssh's -L, -R and -D where these have one.

/// One end of a forward, as it is typed.
public enum RequestedEnd: Hashable, Sendable, CustomStringConvertible {
  case port(Port)
  /// A free port, chosen on the host that the end is on.
  case any
  case path(PathPattern)

  /// In a sentence.
  var named: String { if case .path = self { description } else { "port \(self)" } }

  public var description: String {
    switch self {
    case .port(let port): port.description
    case .any: "0"
    case .path(let path): path.description
    }
  }
}

/// Which hosts a forward leads to, as it is typed.
public enum RequestedHost: Hashable, Sendable {
  /// The first node of the step; for `R:` the submit host.
  case nearest
  case named(HostName)
  /// So many places after the first node.
  case after(Int)
  /// A forward for each node of the step.
  case all
}

/// One forward, as it is typed.
public struct ForwardRequest: Hashable, Sendable {
  public let kind: Forward.Kind
  public let listen: RequestedEnd
  public let host: RequestedHost
  /// `any` when `kind` is `dynamic`.
  public let connect: RequestedEnd
}

/// All the forwards of one tunnel, at least one.
public struct TunnelSpec: Equatable, Sendable {
  public let forwards: [ForwardRequest]

  /// Reads `<forward>[,<forward>…]`.
  ///
  /// - Parameter text: as typed, nothing trimmed
  public init(_ text: String) throws(SpecError) {
    if text.isEmpty { throw .empty }
    var forwards: [ForwardRequest] = []
    var submitEnds: Set<RequestedEnd> = []
    var execEnds: Set<RequestedEnd> = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      if item.isEmpty { throw .emptyForward(spec: printable(text)) }
      let forward = try SpecParser(String(item)).forward()
      if forward.listen != .any {
        if forward.kind == .remote {
          guard execEnds.insert(forward.listen).inserted else {
            throw .execEndTwice(end: "\(forward.listen)")
          }
        } else if !submitEnds.insert(forward.listen).inserted {
          throw .submitEndTwice(end: "\(forward.listen)")
        }
      }
      forwards.append(forward)
    }
    self.forwards = forwards
  }

  public init(forwards: [ForwardRequest]) { self.forwards = forwards }

  /// The submit ports that are named: they can be claimed before anything else is known.
  var ports: [Port] {
    forwards.compactMap { forward in
      if forward.kind != .remote, case .port(let port) = forward.listen { port } else { nil }
    }
  }

  /// The submit sockets whose paths are known before the nodes are.
  ///
  /// - Parameter step: `nil` while there is no job
  func paths(known step: StepName?) throws(SpecError) -> [String] {
    var paths: [String] = []
    for forward in forwards where forward.kind != .remote {
      guard case .path(let pattern) = forward.listen else { continue }
      do throws(PathPattern.Refusal) {
        if let path = try pattern.path(known: step) { paths.append(path) }
      } catch {
        throw SpecError(error, text: pattern.description, forward: forward.description)
      }
    }
    return paths
  }

  /// Whether an exec port is to be chosen.
  var wantsExecPort: Bool { forwards.contains { $0.kind == .local && $0.connect == .any } }
}

extension ForwardRequest: CustomStringConvertible {
  /// As it may be typed.
  public var description: String {
    switch kind {
    case .local: "\(listen):\(hostPart)\(connect == .any ? "auto" : connect.description)"
    case .remote: "R:\(listen):\(hostPart)\(connect)"
    case .dynamic: "D:\(listen)"
    }
  }

  private var hostPart: String {
    switch host {
    case .nearest: ""
    case .named(let host): host.bracketed + ":"
    case .after(let places): "+\(places):"
    case .all: "all:"
    }
  }
}

extension TunnelSpec: CustomStringConvertible {
  public var description: String { forwards.map(\.description).joined(separator: ",") }
}

/// Reads one forward; every error quotes it.
private struct SpecParser {
  let text: String

  init(_ text: String) { self.text = text }

  func forward() throws(SpecError) -> ForwardRequest {
    var parts = SpecParser.parts(text)
    switch parts.first {
    case "R":
      parts.removeFirst()
      return try remote(parts)
    case "D":
      parts.removeFirst()
      try checkAddress(parts, atMost: 1)
      if parts.count > 1 { throw .tooManyParts(forward: shown) }
      guard let end = parts.first else { throw .lacksEnd(forward: shown) }
      return ForwardRequest(
        kind: .dynamic, listen: try submitEnd(end), host: .nearest, connect: .any)
    case "L": throw .letterL(forward: shown)
    default: return try local(parts)
    }
  }

  private var shown: String { printable(text) }

  /// Splits at colons, but not within brackets, where an IPv6 address stands.
  private static func parts(_ text: String) -> [String] {
    var parts = [""]
    var isBracketed = false
    for character in text {
      if character == "[" { isBracketed = true }
      if character == "]" { isBracketed = false }
      if character == ":" && !isBracketed {
        parts.append("")
      } else {
        parts[parts.count - 1].append(character)
      }
    }
    return parts
  }

  /// Refuses ssh's `bind_address` before a listening end.
  private func checkAddress(_ parts: [String], atMost count: Int) throws(SpecError) {
    if parts.count > count, let first = parts.first, SpecParser.isAddress(first) {
      throw .bindAddress(text: printable(first), forward: shown)
    }
  }

  private func local(_ parts: [String]) throws(SpecError) -> ForwardRequest {
    try checkAddress(parts, atMost: 2)
    switch parts.count {
    case 1:
      if parts[0] == "auto" { throw .misplacedAuto(forward: shown) }
      if parts[0].hasPrefix("/") { throw .lacksEnd(forward: shown) }
      let port = RequestedEnd.port(try listeningPort(parts[0]))
      return ForwardRequest(kind: .local, listen: port, host: .nearest, connect: port)
    case 2:
      return ForwardRequest(
        kind: .local, listen: try submitEnd(parts[0]), host: .nearest,
        connect: try connectEnd(parts[1]))
    case 3:
      let (listen, host) = (try submitEnd(parts[0]), try nodes(parts[1]))
      let connect = try connectEnd(parts[2])
      if host == .all { try checkMany(listen, connect) }
      return ForwardRequest(kind: .local, listen: listen, host: host, connect: connect)
    default: throw .tooManyParts(forward: shown)
    }
  }

  /// Whether it can only be meant as ssh's `bind_address`.
  private static func isAddress(_ part: String) -> Bool {
    part == "*" || part == "localhost" || part.hasPrefix("[")
      || part.contains(".") && !part.contains("/") && !isRelativePath(part)
  }

  /// Whether it can only be meant as a path, without a slash at its beginning.
  private static func isRelativePath(_ part: String) -> Bool {
    guard let first = part.utf8.first, first != UInt8(ascii: "/") else { return false }
    let isNumber = UInt8(ascii: "0")...UInt8(ascii: "9") ~= first
    return !isNumber && part.contains("/") || part.hasSuffix(".sock")
  }

  private func checkMany(_ listen: RequestedEnd, _ connect: RequestedEnd) throws(SpecError) {
    if connect == .any { throw .misplacedAuto(forward: shown) }
    switch listen {
    case .any: return
    case .path(let path) where path.description.mentions("%n"): return
    default: throw .manyNodesOneEnd(forward: shown)
    }
  }

  private func remote(_ parts: [String]) throws(SpecError) -> ForwardRequest {
    try checkAddress(parts, atMost: 1)
    guard let first = parts.first, !first.isEmpty else { throw .lacksEnd(forward: shown) }
    let listen: RequestedEnd =
      first.hasPrefix("/") ? .path(try path(first)) : .port(try listeningPort(first))
    switch parts.count {
    case 1:
      if case .path = listen { throw .lacksEnd(forward: shown) }
      return ForwardRequest(kind: .remote, listen: listen, host: .nearest, connect: listen)
    case 2:
      return ForwardRequest(
        kind: .remote, listen: listen, host: .nearest, connect: try remoteEnd(parts[1]))
    case 3:
      let host = try host(parts[1])
      return ForwardRequest(
        kind: .remote, listen: listen, host: host.isLocal ? .nearest : .named(host),
        connect: try remoteEnd(parts[2]))
    default: throw .tooManyParts(forward: shown)
    }
  }

  // MARK: Parts

  private func submitEnd(_ part: String) throws(SpecError) -> RequestedEnd {
    if part.isEmpty || wholeNumber(part) == 0 { return .any }
    return part.hasPrefix("/") ? .path(try path(part)) : .port(try listeningPort(part))
  }

  private func connectEnd(_ part: String) throws(SpecError) -> RequestedEnd {
    part == "auto" ? .any : try remoteEnd(part)
  }

  private func remoteEnd(_ part: String) throws(SpecError) -> RequestedEnd {
    if part.isEmpty { throw .lacksEnd(forward: shown) }
    return part.hasPrefix("/") ? .path(try path(part)) : .port(try port(part))
  }

  private func nodes(_ part: String) throws(SpecError) -> RequestedHost {
    if part == "all" { return .all }
    if part.hasPrefix("+") {
      guard let places = wholeNumber(part.dropFirst()), places < 100_000 else {
        throw .noHost(text: printable(part), forward: shown)
      }
      return .after(places)
    }
    let host = try host(part)
    return host.isLocal ? .nearest : .named(host)
  }

  private func host(_ part: String) throws(SpecError) -> HostName {
    let isBracketed = part.hasPrefix("[") && part.hasSuffix("]") && part.contains(":")
    guard let host = HostName(isBracketed ? String(part.dropFirst().dropLast()) : part) else {
      throw .noHost(text: printable(part), forward: shown)
    }
    return host
  }

  private func path(_ part: String) throws(SpecError) -> PathPattern {
    do throws(PathPattern.Refusal) { return try PathPattern(part) } catch {
      throw SpecError(error, text: part, forward: text)
    }
  }

  private func listeningPort(_ part: String) throws(SpecError) -> Port {
    let port = try port(part)
    if port.number < 1024 { throw .reserved(text: part, forward: shown) }
    return port
  }

  private func port(_ part: String) throws(SpecError) -> Port {
    if part.isEmpty { throw .lacksEnd(forward: shown) }
    if SpecParser.isRelativePath(part) { _ = try path(part) }
    guard part.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
      throw .noPort(text: printable(part), forward: shown)
    }
    guard let port = Port(part) else { throw .outOfRange(text: printable(part), forward: shown) }
    return port
  }
}
