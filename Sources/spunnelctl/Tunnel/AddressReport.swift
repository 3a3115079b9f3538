// spunnelctl url: what to give to a browser or another program.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

struct AddressReport: Report {
  private let tunnels: [(step: StepName, forwards: [Forward])]

  init(_ tunnels: [(step: StepName, forwards: [Forward])]) { self.tunnels = tunnels }

  /// Whether there is anything to open.
  var isEmpty: Bool {
    tunnels.allSatisfy { $0.forwards.allSatisfy { $0.address == nil } }
  }

  var text: String {
    tunnels.flatMap { tunnel in
      let announcement = Announcement(tunnel.forwards)
      return announcement.addresses + (announcement.command.map { [$0] } ?? [])
    }
    .joined(separator: "\n")
  }

  var object: JSON {
    JSON([
      "tunnels": .array(
        tunnels.map { step, forwards in
          JSON([
            "job": .number(Int(step.job)), "step": .string(step.stepLabel),
            "forwards": .array(
              forwards.map { $0.json().adding(["address": .string($0.address)]) }),
            "command": .string(Announcement(forwards).command),
          ])
        })
    ])
  }
}
