// What a link reports to its tunnel and asks it.

import SpunnelTunnel

protocol LinkObserver: AnyObject {
  /// The link came up: services can be connected to.
  func linkIsUp(_ link: Link)
  /// The link was lost after it had been up: its open connections are cut.
  func linkIsLost(_ link: Link)
  /// Slurm says that the job no longer exists.
  func linkMissesJob(_ link: Link)
  /// Whether a client's connection waits for the link.
  func linkIsAwaited(_ link: Link) -> Bool
  /// Whether the tunnel itself listens at this end on this host.
  func linkIsOwn(_ end: Endpoint) -> Bool
}
