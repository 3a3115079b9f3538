// What a tunnel tells its keeper.

protocol TunnelObserver: AnyObject {
  /// A link came or went, or forwards did.
  func tunnelChanged()
  /// Counters changed.
  func tunnelCounted()
  /// A link was lost: the end of the job would explain it.
  func tunnelIsCut()
  /// Slurm said that there is no job any more.
  func tunnelMissesJob()
}
