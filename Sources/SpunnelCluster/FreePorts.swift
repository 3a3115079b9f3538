// Ports of 127.0.0.1 that nobody has at the moment. Another may take one before a daemon binds it,
// which is why `up` tries again.

import SpunnelSystem

enum FreePorts {
  /// Ports that the kernel gives; all are held until the last is chosen, so that no two are equal.
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
