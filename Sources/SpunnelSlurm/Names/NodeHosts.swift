// Finds the node that a host name or address means.

import SpunnelSystem

extension NodeName {
  /// Whether a host means this node. It may be the node's own name in any case, with or without a
  /// domain of this host's search list. It may also be a name or an address that /etc/hosts gives
  /// to the node. No name server is asked, because a keeper cannot wait for one.
  ///
  /// - Parameters:
  ///   - host: as a user typed it or a program asked for it
  ///   - known: the names that this host's files know
  package func isMeant(by host: HostName, known: KnownHosts) -> Bool {
    isNamed(by: host)
      || HostName.areSame(known.short(description), known.short(host.description))
      || known.areOneHost(description, host.description)
  }

  fileprivate func isNamed(by host: HostName) -> Bool {
    HostName.areSame(description, host.description)
  }
}

extension [NodeName] {
  /// The index of the node that a host means; `nil` if it means none of them.
  ///
  /// - Parameter known: called only if no node has exactly this name
  package func place(of host: HostName, known: () -> KnownHosts) -> Int? {
    if let place = firstIndex(where: { $0.isNamed(by: host) }) { return place }
    let known = known()
    return firstIndex { $0.isMeant(by: host, known: known) }
  }
}

/// The names in this host's files. No name server is asked.
package struct KnownHosts: Sendable {
  /// The domains that complete a name (resolv.conf(5)), and this host's own domain.
  private var domains: [String] = []
  /// The names and addresses of each line of hosts(5).
  private var lines: [[String]] = []

  /// The most bytes of a file that are read.
  private static let limit = 1 << 20

  /// Parses the files.
  ///
  /// - Parameters:
  ///   - name: this host's name, perhaps with a domain
  ///   - hosts: the text of hosts(5)
  ///   - resolver: the text of resolv.conf(5)
  package init(name: String, hosts: String, resolver: String) {
    if let dot = name.firstIndex(of: ".") { domains.append(String(name[dot...])) }
    for line in KnownHosts.words(resolver) where ["search", "domain"].contains(line.first) {
      domains += line.dropFirst().map { "." + $0 }
    }
    lines = KnownHosts.words(hosts).filter { $0.count > 1 }
  }

  /// Reads this host's files as they are now.
  package static var own: KnownHosts {
    KnownHosts(name: Host.name, hosts: text("/etc/hosts"), resolver: text("/etc/resolv.conf"))
  }

  private static func text(_ path: String) -> String {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, 0)
      return String(decoding: try file.read(atMost: limit) ?? [], as: UTF8.self)
    } catch { return "" }
  }

  private static func words(_ text: String) -> [[String]] {
    text.split(separator: "\n").map { line in
      line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }.map { String($0) }
    }
  }

  /// The name without this host's domain or a search domain.
  fileprivate func short(_ name: String) -> String {
    for domain in domains where name.utf8.count > domain.utf8.count {
      if HostName.areSame(name.suffix(domain.count), domain) {
        return String(name.dropLast(domain.count))
      }
    }
    return name
  }

  /// Whether one line of this host's hosts(5) has both names.
  fileprivate func areOneHost(_ left: String, _ right: String) -> Bool {
    lines.contains { line in
      line.contains { HostName.areSame($0, left) } && line.contains { HostName.areSame($0, right) }
    }
  }
}
