// Free ports of 127.0.0.1. Another process may take a port before the daemon binds it, so `up`
// tries again.

import SpunnelSystem

enum FreePorts {
  /// Ports that the kernel chose. Each stays bound until the last is chosen, so they all differ.
  static func choose(_ count: Int) throws(SystemError) -> [UInt16] {
    if count == 0 { return [] }
    let listener = try Socket.listen(.v4, port: 0)
    let port = try Socket.localAddress(of: listener.raw).port
    return [port] + (try choose(count - 1))
  }

  static func isFree(_ port: UInt16) -> Bool {
    do throws(SystemError) {
      _ = try Socket.listen(.v4, port: port)
      return true
    } catch { return false }
  }
}
