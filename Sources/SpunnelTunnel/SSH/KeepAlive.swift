// How ssh notices that its node is gone, where nobody has said otherwise.

struct KeepAlive {
  /// Seconds of silence after which ssh asks the node whether it is there.
  let interval: Int
  /// Questions without an answer after which ssh gives the connection up.
  let count: Int

  /// Over a connection of ssh's own.
  static let direct = KeepAlive(interval: 15, count: 3)
  /// Through srun's I/O, which others can make stall for a while.
  static let throughSrun = KeepAlive(interval: 30, count: 12)

  /// As ssh's `-o` takes it.
  var intervalOption: String { "ServerAliveInterval=\(interval)" }
  var countOption: String { "ServerAliveCountMax=\(count)" }
}
