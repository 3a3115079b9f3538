// What a tunnel reports to its keeper.

protocol TunnelObserver: AnyObject {
  /// A link came up or was lost, or the forwards changed.
  func tunnelChanged()
  /// Counters have changed.
  func tunnelCounted()
  /// A link was lost. The end of the job may explain it.
  func tunnelIsCut()
  /// Slurm said that the job no longer exists.
  func tunnelMissesJob()
}
