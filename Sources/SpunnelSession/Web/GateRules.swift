// Who may pass the gate in front of a session's page: the user's own browser, on the session's own page.

/// What is done with a request.
enum GateDecision: Equatable, Sendable {
  /// The page that exchanges the key in the address for the cookie. It tells nothing and does nothing else.
  case landing
  /// The landing page's script.
  case script
  /// The landing page sends the key.
  case enter
  /// The landing page asks where the session's page is, by the cookie.
  case next
  /// The request is the session's.
  case pass
  case refuse(String)
}

/// Three walls. The name in `Host` must be this computer's, so that no name of a stranger's domain leads here
/// (DNS rebinding). `Origin` must be the page itself, and what the browser says of the sender (Fetch Metadata)
/// must be the same: a page of another origin, also of another port of localhost, sends nothing here. The
/// cookie must be the session's.
struct GateRules: Sendable {
  static let landing = "/spunnel/"

  /// The cookie's name. Cookies know no ports: two sessions on one `localhost` need two names.
  let cookie: String
  let secret: String

  func decide(_ request: HTTPRequest) -> GateDecision {
    guard let host = request.value(of: "host"), GateRules.isLocal(host) else {
      return .refuse("the address must begin with http://localhost")
    }
    if request.has("origin") {
      let origin = request.value(of: "origin")?.lowercased()
      guard origin == "http://" + host.lowercased() || origin == "https://" + host.lowercased()
      else { return .refuse("another page sent this request") }
    } else if request.isUpgrade || request.path == GateRules.landing + "enter" {
      return .refuse("the browser does not tell which page sent this request")
    }
    if isForeign(request) {
      // A link that the user follows: the landing page goes on by itself.
      return isNavigation(request) ? .landing : .refuse("another page sent this request")
    }
    switch (request.method, request.path) {
    case ("GET", GateRules.landing): return .landing
    case ("GET", GateRules.landing + "enter.js"): return .script
    case ("POST", GateRules.landing + "enter"): return .enter
    default: break
    }
    guard hasCookie(request) else {
      return isNavigation(request) ? .landing : .refuse("this browser has no key of the session")
    }
    if request.path == GateRules.landing + "next" { return .next }
    return request.path.hasPrefix(GateRules.landing) ? .refuse("there is no such page") : .pass
  }

  private func hasCookie(_ request: HTTPRequest) -> Bool {
    request.cookies(cookie).contains { Secret.matches(Array($0.utf8), Array(secret.utf8)) }
  }

  /// Whether another page had the browser send it (Fetch Metadata, `Sec-Fetch-Site`). `same-site` is another
  /// port of localhost.
  private func isForeign(_ request: HTTPRequest) -> Bool {
    guard request.has("sec-fetch-site") else { return false }
    let site = request.value(of: "sec-fetch-site")
    return site != "same-origin" && site != "none"
  }

  /// Whether the browser's own tab goes there: no frame, no script.
  private func isNavigation(_ request: HTTPRequest) -> Bool {
    guard request.method == "GET", !request.isUpgrade else { return false }
    if request.has("sec-fetch-dest") {
      return request.value(of: "sec-fetch-dest") == "document"
    }
    return request.value(of: "accept")?.mentions("text/html") ?? false
  }

  /// Names that browsers resolve to this computer alone (RFC 6761, section 6.3), and its loopback addresses.
  static func isLocal(_ host: String) -> Bool {
    var name = host.lowercased()
    if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") {
      let port = name[name.index(after: colon)...]
      guard !port.isEmpty, port.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return false }
      name = String(name[..<colon])
    }
    return ["localhost", "127.0.0.1", "[::1]"].contains(name) || name.hasSuffix(".localhost")
  }

  /// The head as the session's program gets it: without the cookie, which is the gate's, and with one request
  /// a connection, as the gate looks at the first one alone.
  ///
  /// - Parameter added: a field that lets the gate in at the program, as `Authorization: token …`
  func forwarded(_ request: HTTPRequest, adding added: String?) -> [UInt8] {
    var lines = ["\(request.method) \(request.target) HTTP/1.1"]
    let own = added?.prefix { $0 != ":" }.lowercased()
    for field in request.fields {
      switch field.name {
      case "connection", "keep-alive", "proxy-connection": continue
      case own: continue
      case "cookie":
        let others = HTTPRequest.cookies(in: field.value).filter { !$0.hasPrefix(cookie + "=") }
        if !others.isEmpty { lines.append("cookie: " + others.joined(separator: "; ")) }
      default: lines.append("\(field.name): \(field.value)")
      }
    }
    lines.append("connection: " + (request.isUpgrade ? "Upgrade" : "close"))
    if let added { lines.append(added) }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }
}
