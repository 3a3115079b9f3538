// One forward of a link, and what is known of its far end.

import SpunnelTunnel

/// One forward of a link, as it is being made and as it then is.
final class Route {
  /// With an exec port that is chosen on the way when it was `free`.
  var forward: Forward
  var far = FarEnd.unknown
  /// When the node was asked last why it refused a connection; `.max` while it is being asked.
  var looked: Int?
  /// What the service speaks, once it has answered in words that are known.
  var spoken: SpokenProtocol?

  init(_ forward: Forward) { self.forward = forward }

  /// Where connections go: on the far side, or on this one for a remote forward.
  var service: Service { Service(host: forward.host, end: forward.connect) }
}
