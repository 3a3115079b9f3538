// Which names and addresses of hosts mean a node.

import SpunnelSystem

extension NodeName {
  /// Whether a name means this node: its own name in any case, with or without a domain by which this host
  /// completes names, or a name or an address that the file of hosts gives it. Nobody is asked: a keeper
  /// cannot wait for a name server.
  ///
  /// - Parameters:
  ///   - host: as somebody typed it, or a program asked for it
  ///   - known: what this host knows of names
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
  /// The place of the node that a host's name or address means; `nil` when it means none of them.
  ///
  /// - Parameter known: asked for only where no node has that very name
  package func place(of host: HostName, known: () -> KnownHosts) -> Int? {
    if let place = firstIndex(where: { $0.isNamed(by: host) }) { return place }
    let known = known()
    return firstIndex { $0.isMeant(by: host, known: known) }
  }
}

/// What the files of this host say of names, without asking anybody.
package struct KnownHosts: Sendable {
  /// Domains that complete a name (resolv.conf(5)), and this host's own.
  private var domains: [String] = []
  /// The names and addresses of each line of hosts(5).
  private var lines: [[String]] = []

  /// Longest file that is read.
  private static let limit = 1 << 20

  /// - Parameters:
  ///   - name: this host's, which may have a domain
  ///   - hosts: the text of hosts(5)
  ///   - resolver: the text of resolv.conf(5)
  package init(name: String, hosts: String, resolver: String) {
    if let dot = name.firstIndex(of: ".") { domains.append(String(name[dot...])) }
    for line in KnownHosts.words(resolver) where ["search", "domain"].contains(line.first) {
      domains += line.dropFirst().map { "." + $0 }
    }
    lines = KnownHosts.words(hosts).filter { $0.count > 1 }
  }

  /// As the files are now.
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

  /// A name without a domain that is this host's as well.
  fileprivate func short(_ name: String) -> String {
    for domain in domains where name.utf8.count > domain.utf8.count {
      if HostName.areSame(name.suffix(domain.count), domain) {
        return String(name.dropLast(domain.count))
      }
    }
    return name
  }

  /// Whether a line of the file of hosts, of none but this host itself, has both.
  fileprivate func areOneHost(_ left: String, _ right: String) -> Bool {
    lines.contains { line in
      line.contains { HostName.areSame($0, left) } && line.contains { HostName.areSame($0, right) }
    }
  }
}
