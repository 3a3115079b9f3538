// spunnelctl url: what to give to a browser or another program.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

struct AddressReport: Report {
  /// One tunnel: its forwards, and what their services speak, in the same order and as far as it is known.
  typealias Entry = (step: StepName, forwards: [Forward], spoken: [SpokenProtocol?])

  private let tunnels: [Entry]

  init(_ tunnels: [Entry]) { self.tunnels = tunnels }

  /// Whether there is nothing to open.
  var isEmpty: Bool { tunnels.allSatisfy { addresses($0).allSatisfy { $0 == nil } } }

  var text: String {
    (tunnels.flatMap { addresses($0).compactMap { $0 } } + [command].compactMap { $0 })
      .joined(separator: "\n")
  }

  /// One line carries all of them on.
  private var command: String? { Announcement(tunnels.flatMap(\.forwards)).command }

  private func addresses(_ tunnel: Entry) -> [String?] {
    tunnel.forwards.enumerated().map { index, forward in
      forward.address(tunnel.spoken.indices.contains(index) ? tunnel.spoken[index] : nil)
    }
  }

  var object: JSON {
    JSON([
      "tunnels": .array(
        tunnels.map { tunnel in
          JSON([
            "job": .number(Int(tunnel.step.job)), "step": .string(tunnel.step.stepLabel),
            "forwards": .array(
              zip(tunnel.forwards, addresses(tunnel)).map { forward, address in
                forward.json().adding(["address": .string(address)])
              }),
            "command": .string(Announcement(tunnel.forwards).command),
          ])
        }),
      "command": .string(command),
    ])
  }
}
