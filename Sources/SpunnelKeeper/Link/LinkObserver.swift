// What a link tells its tunnel, and asks of it.

import SpunnelTunnel

protocol LinkObserver: AnyObject {
  /// It came up: services can be connected to.
  func linkIsUp(_ link: Link)
  /// It was lost after it had been up: what was open is cut.
  func linkIsLost(_ link: Link)
  /// Slurm says that there is no job any more.
  func linkMissesJob(_ link: Link)
  /// Whether somebody's connection waits for it.
  func linkIsAwaited(_ link: Link) -> Bool
  /// Whether the tunnel listens there, on this host.
  func linkIsOwn(_ end: Endpoint) -> Bool
}
