// `spunnelctl url`: the addresses for a browser or another program.

import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The result of `spunnelctl url`.
struct AddressReport: Report {
  /// One tunnel.
  struct Entry {
    let step: StepName
    let forwards: [Forward]
    /// The protocols of the services, in the order of the forwards; `nil` when unknown.
    var spoken: [SpokenProtocol?] = []
    /// Whether the job has not started. The nodes of the forwards are then unknown.
    var isWaiting = false
    /// Jupyter servers by their ports on the node.
    var servers: [Port: JupyterServer] = [:]
  }

  /// An address, and the token of its service.
  private struct Place {
    let address: String
    let token: String?
  }

  private let tunnels: [Entry]
  private let path: String?
  private let host: String

  /// - Parameters:
  ///   - tunnels: the tunnels to report
  ///   - path: the path after the port in addresses for browsers; `nil` for that of the service
  ///   - host: the name by which users log in to this host
  init(_ tunnels: [Entry], path: String? = nil, through host: String = Host.name) {
    self.tunnels = tunnels
    self.host = host
    self.path = path
  }

  /// Whether no forward has an address.
  var isEmpty: Bool { tunnels.allSatisfy { places($0).allSatisfy { $0 == nil } } }

  /// The first address for a browser; `nil` when there is none.
  var page: String? {
    let all = tunnels.flatMap { entry in
      zip(entry.forwards, places(entry)).compactMap { forward, place in
        forward.kind == .local && forward.listen.port != nil ? place?.address : nil
      }
    }
    if let web = all.first(where: { $0.hasPrefix("http") }) { return web }
    // The protocol of the service is still unknown, so HTTP is assumed.
    return all.first.map { $0.contains("://") ? $0 : "http://\($0)/" }
  }

  var text: String {
    let found = tunnels.flatMap { places($0).compactMap { $0 } }
    let lines = found.flatMap { place in
      [place.address] + (place.token.map { ["token \($0)"] } ?? [])
    }
    return (lines + [command].compactMap { $0 }).joined(separator: "\n")
  }

  /// One ssh command that carries all forwards on to the user's own computer.
  var command: String? { Announcement(tunnels.flatMap(\.forwards), through: host).command }

  private func places(_ tunnel: Entry) -> [Place?] {
    tunnel.forwards.enumerated().map { index, forward in
      let server = forward.host.isLocal ? forward.exec.port.flatMap { tunnel.servers[$0] } : nil
      var spoken = tunnel.spoken.indices.contains(index) ? tunnel.spoken[index] : nil
      let wanted = path ?? server?.path
      // A path only makes sense in a browser.
      if wanted != nil, spoken == nil, forward.kind == .local, forward.listen.port != nil {
        spoken = .http
      }
      guard var address = forward.address(spoken) else { return nil }
      if spoken == .http, let wanted, forward.listen.port != nil {
        address += String(wanted.dropFirst())
      }
      return Place(address: address, token: server?.token)
    }
  }

  var object: JSON {
    JSON([
      "tunnels": .array(
        tunnels.map { tunnel in
          JSON([
            "job": .number(Int(tunnel.step.job)), "step": .string(tunnel.step.stepLabel),
            "state": tunnel.isWaiting ? .string("waiting") : nil,
            "forwards": .array(
              zip(tunnel.forwards, places(tunnel)).map { forward, place in
                (tunnel.isWaiting ? forward.submitJSON : forward.json())
                  .adding(["address": .string(place?.address), "token": .string(place?.token)])
              }),
            "command": .string(Announcement(tunnel.forwards, through: host).command),
          ])
        }),
      "command": .string(command),
    ])
  }
}

extension Forward {
  /// The forward while its job waits: the node is unknown.
  fileprivate var submitJSON: JSON {
    JSON([
      "kind": .string(kind.rawValue), "submit": .number(submit.port?.number),
      "submitPath": .string(submit.path), "exec": .number(exec.port?.number),
    ])
  }
}
