// What commands ask of the keeper: more forwards, fewer, or a look at the far ends.

import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

extension Keeper: CommandObserver {
  func commanded(_ command: KeeperCommand, by client: CommandClient) {
    guard let tunnel, status.state != .closing else { return }
    switch command {
    case .probe:
      tunnel.probe { [weak self] in
        self?.review()
        client.say(.done)
      }
    case .close(let spec):
      let found = tunnel.close(matching: spec)
      let (closed, missing) = (found.closed, found.missing.filter { !failures.remove($0) })
      tunnel.keptPorts = failures.ports
      // A client that sees the answer and then asks for more must find no keeper, rather than one
      // that is ending.
      if tunnel.grants.isEmpty { record.removeCommand() }
      let ends = missing.map { "'\($0.listen)'" }.joined(separator: ", ")
      client.say(
        missing.isEmpty
          ? .closed(TunnelSpec(forwards: closed)) : .failed("no forward listens at \(ends)"))
      for asker in askers.values where asker.isHeld && !tunnel.grants.contains(asker.grant) {
        asker.say(.over("its forwards were closed"))
      }
      if tunnel.grants.isEmpty { close("its last forward was closed") }
    case .open(let spec, let isHeld):
      if let blindness, tunnel.nodes.isEmpty { return client.say(.failed(blindness)) }
      for forward in spec.forwards { failures.remove(forward) }
      open(spec, Asker(client, isHeld: isHeld), tunnel)
    }
  }

  private func open(_ spec: TunnelSpec, _ asker: Asker, _ tunnel: Tunnel) {
    // The client waits, so the forward fails after a time. Once it is open, it is kept like any
    // other.
    let grant = tunnel.open(spec, patience: request.settings.timeout * 1000) {
      [weak self, weak asker] report in
      asker?.say(report)
      switch report {
      case .failed(let reason):
        // With --background the client left when the job was still pending.
        if asker?.client.isOpen ?? false { self?.closeIfUnused() } else { self?.lose(spec, reason) }
      // A far end may already be known not to answer.
      case .ready: self?.tellAskers()
      default: break
      }
    }
    asker.grant = grant
    if !asker.client.isOpen { return asker.isHeld ? tunnel.close(grant) : () }
    guard tunnel.grants.contains(grant) else { return }
    askers[ObjectIdentifier(asker.client)] = asker
    asker.lookAhead(tunnel)
  }

  func commandEnded(_ client: CommandClient) {
    if let asker = askers.removeValue(forKey: ObjectIdentifier(client)), let grant = asker.grant {
      if asker.isHeld { tunnel?.close(grant) }
      // No client waits any more: once the job starts, the forward is tried as long as the job
      // lives.
      grant.patience = nil
    }
    closeIfUnused()
  }

  /// Closes the tunnel, once it had forwards and none is left.
  private func closeIfUnused() { loop.postpone { [weak self] in self?.closeIfIdle() } }
}

extension [Grant] {
  fileprivate func contains(_ grant: Grant?) -> Bool { contains { $0 === grant } }
}
