// spunnelctl url: what to give to a browser or another program.

import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

struct AddressReport: Report {
  /// One tunnel.
  struct Entry {
    let step: StepName
    let forwards: [Forward]
    /// What the services speak, in the order of the forwards, as far as it is known.
    var spoken: [SpokenProtocol?] = []
    /// Whether the job has not started: the nodes of the forwards are not known yet.
    var isWaiting = false
    /// Jupyter servers by their ports on the node.
    var servers: [Port: JupyterServer] = [:]
  }

  /// An address with what a program wants to know besides.
  private struct Place {
    let address: String
    let token: String?
  }

  private let tunnels: [Entry]
  private let path: String?

  /// - Parameter path: what stands behind the port in addresses for browsers
  init(_ tunnels: [Entry], path: String? = nil) {
    self.tunnels = tunnels
    self.path = path
  }

  /// Whether there is nothing to open.
  var isEmpty: Bool { tunnels.allSatisfy { places($0).allSatisfy { $0 == nil } } }

  /// The first address that a browser takes.
  var page: String? {
    let all = tunnels.flatMap { entry in
      zip(entry.forwards, places(entry)).compactMap { forward, place in
        forward.kind == .local && forward.listen.port != nil ? place?.address : nil
      }
    }
    if let web = all.first(where: { $0.hasPrefix("http") }) { return web }
    // The service has not been seen yet.
    return all.first.map { $0.contains("://") ? $0 : "http://\($0)/" }
  }

  var text: String {
    let found = tunnels.flatMap { places($0).compactMap { $0 } }
    let lines = found.flatMap { place in
      [place.address] + (place.token.map { ["token \($0)"] } ?? [])
    }
    return (lines + [command].compactMap { $0 }).joined(separator: "\n")
  }

  /// One line carries all of them on.
  var command: String? { Announcement(tunnels.flatMap(\.forwards)).command }

  private func places(_ tunnel: Entry) -> [Place?] {
    tunnel.forwards.enumerated().map { index, forward in
      let server = forward.host.isLocal ? forward.exec.port.flatMap { tunnel.servers[$0] } : nil
      var spoken = tunnel.spoken.indices.contains(index) ? tunnel.spoken[index] : nil
      let wanted = path ?? server?.path
      // Who names a path means a browser.
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
            "command": .string(Announcement(tunnel.forwards).command),
          ])
        }),
      "command": .string(command),
    ])
  }
}

extension Forward {
  /// Of a job that has not started: the node is not known.
  fileprivate var submitJSON: JSON {
    JSON([
      "kind": .string(kind.rawValue), "submit": .number(submit.port?.number),
      "submitPath": .string(submit.path), "exec": .number(exec.port?.number),
    ])
  }
}
