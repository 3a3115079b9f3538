// One forward of a link, and what is known about its far end.

import SpunnelTunnel

/// One forward of a link, while it is opened and afterwards.
final class Route {
  /// The forward. A `free` exec port is filled in once it is chosen.
  var forward: Forward
  var far = FarEnd.unknown
  /// When the node was last asked why it refused a connection, in milliseconds of the monotonic
  /// clock; `.max` while it is being asked.
  var looked: Int?
  /// The service's protocol, once its first bytes were recognized.
  var spoken: SpokenProtocol?

  init(_ forward: Forward) { self.forward = forward }

  /// The target of connections: on the far side; for a remote forward, on this side.
  var service: Service { Service(host: forward.host, end: forward.connect) }
}
