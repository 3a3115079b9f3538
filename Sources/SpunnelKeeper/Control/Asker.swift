// A command client that asked a keeper for forwards, and the news it gets while it is connected.

import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// A client of the command socket and the forwards that it asked for.
final class Asker {
  /// The most news lines for one client. If a network comes and goes for days, `spunnelctl status`
  /// has the rest.
  private static let mostNews = 50

  /// Milliseconds from the loss of a link to the news of it. If the job ends in that time, its end
  /// explains the loss.
  static let pause = 2400

  let client: CommandClient
  /// Whether the forwards live as long as the client.
  let isHeld: Bool
  var grant: Grant?
  private var isReady = false
  private var told = 0
  private var refused: Set<Forward> = []
  private var lost: Set<NodeName> = []

  init(_ client: CommandClient, isHeld: Bool) {
    self.client = client
    self.isHeld = isHeld
  }

  func say(_ report: KeeperReport) {
    switch report {
    case .ready: isReady = true
    // The job starts again with new links: the lost ones no longer exist.
    case .waiting: (isReady, lost) = (false, [])
    default: break
    }
    client.say(report)
  }

  /// Tells the client why it has to wait, if a link already knows the reason.
  func lookAhead(_ tunnel: Tunnel) {
    if isReady { return }
    for link in links(of: tunnel) where !link.isUp {
      if let complaint = link.complaint { return tell(.trying, "\(complaint): trying on") }
    }
  }

  /// Tells the client what has changed since the last look.
  func look(_ tunnel: Tunnel) {
    guard isHeld, isReady, let grant else { return }
    for link in links(of: tunnel) { look(link) }
    for route in grant.routes where route.far.isTrouble && route.forward.kind == .local {
      // One line for each forward: a user who reloads a page must not get it each time.
      if refused.insert(route.forward).inserted {
        tell(.refused, route.forward.trouble(route.far, tunnel))
      }
    }
  }

  private func look(_ link: Link) {
    if link.isUp {
      if lost.remove(link.node) != nil {
        tell(.back, "the connection to \(link.node) is back")
      }
    } else if link.downFor >= Asker.pause, let trouble = link.trouble,
      lost.insert(link.node).inserted
    {
      tell(.lost, "the connection to \(link.node) is lost: \(trouble)")
    }
  }

  /// The links of the grant, without duplicates, in the order of its forwards.
  private func links(of tunnel: Tunnel) -> [Link] {
    var links: [Link] = []
    for route in grant?.routes ?? [] {
      guard let link = tunnel.link(to: route.forward.node) else { continue }
      if !links.contains(where: { $0 === link }) { links.append(link) }
    }
    return links
  }

  private func tell(_ kind: KeeperNews.Kind, _ text: String) {
    if told == Asker.mostNews { return }
    told += 1
    client.say(.news(KeeperNews(kind, text)))
  }
}

extension Forward {
  /// Explains why connections to this forward fail, and what may help.
  fileprivate func trouble(_ far: FarEnd, _ tunnel: Tunnel) -> String {
    let overSSH = exec.path != nil && tunnel.transport == .ssh
    switch far {
    case .elsewhere:
      return
        "nothing listens at \(farEnd) on localhost, where the tunnel ends, but a program does on "
        + "another address of \(node): have it listen on localhost or on all addresses"
    case .denied:
      return "sshd on \(node) forbids connections to \(exec) (AllowTcpForwarding, "
        + "AllowStreamLocalForwarding, PermitOpen in sshd_config): open the tunnel with "
        + "SPUNNEL_TRANSPORT=srun"
    case .unreached where overSSH:
      return
        "\(farEnd) is not reached: nothing listens there, or sshd forbids it: if something does, open "
        + "the tunnel with SPUNNEL_TRANSPORT=srun"
    case .unreached: return "\(farEnd) is not reached from \(node): see spunnelctl status JOB"
    default:
      let hint =
        overSSH
        ? "; if the job has a /tmp of its own, open the tunnel with SPUNNEL_TRANSPORT=srun" : ""
      return "nothing listens at \(farEnd) yet\(hint)"
    }
  }
}
