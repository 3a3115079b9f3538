// The grammar of one forward: its parts, and what each part may be.

import SpunnelSlurm
import SpunnelSystem

/// Reads one forward. Every error quotes it.
struct SpecParser {
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

  /// Splits at colons, except inside brackets, which hold an IPv6 address.
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

  /// Refuses a `bind_address`, which ssh(1) allows before a listening port.
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

  /// Whether a part can only be a `bind_address` of ssh(1).
  private static func isAddress(_ part: String) -> Bool {
    part == "*" || part == "localhost" || part.hasPrefix("[")
      || part.contains(".") && !part.contains("/") && !isRelativePath(part)
  }

  /// Whether a part can only be a path that lacks its leading slash.
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

  /// `R:[<node>:]<exec end>[:[<host>:]<submit end>]`, the listening end first, as in ssh's -R.
  private func remote(_ parts: [String]) throws(SpecError) -> ForwardRequest {
    var parts = parts
    var node = RequestedHost.nearest
    if let first = parts.first, SpecParser.isNode(first, of: parts.count) {
      node = try nodes(first)
      parts.removeFirst()
    }
    try checkAddress(parts, atMost: 1)
    guard let first = parts.first, parts.count > 1 || !first.isEmpty else {
      throw .lacksEnd(forward: shown)
    }
    let listen = try submitEnd(first)
    switch parts.count {
    case 1:
      guard case .port = listen else { throw .lacksEnd(forward: shown) }
      return ForwardRequest(
        kind: .remote, listen: listen, host: .nearest, connect: listen, on: node)
    case 2:
      return ForwardRequest(
        kind: .remote, listen: listen, host: .nearest, connect: try remoteEnd(parts[1]), on: node)
    case 3:
      let host = try host(parts[1])
      return ForwardRequest(
        kind: .remote, listen: listen, host: host.isLoopback ? .nearest : .named(host),
        connect: try remoteEnd(parts[2]), on: node)
    default: throw .tooManyParts(forward: shown)
    }
  }

  /// Whether the first part of `R:` names a node, rather than the end that listens there.
  private static func isNode(_ part: String, of count: Int) -> Bool {
    if count < 2 { return false }
    if part == "all" || part.hasPrefix("+") { return true }
    guard count > 2, let first = part.utf8.first, !isAddress(part), !isRelativePath(part) else {
      return false
    }
    return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first | 0x20)
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
    return host.isLoopback ? .nearest : .named(host)
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
