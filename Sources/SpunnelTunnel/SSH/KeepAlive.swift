// How ssh detects that its node is gone, unless the user or the site configured that
// (ssh_config(5), `ServerAliveInterval`).

struct KeepAlive {
  /// Seconds of silence after which ssh sends a keepalive request.
  let interval: Int
  /// Unanswered requests after which ssh closes the connection.
  let count: Int

  /// For a TCP connection of ssh's own.
  static let direct = KeepAlive(interval: 15, count: 3)
  /// For a connection through srun's I/O, which other users can stall for a while.
  static let throughSrun = KeepAlive(interval: 30, count: 12)

  /// The interval as a value of ssh's `-o`.
  var intervalOption: String { "ServerAliveInterval=\(interval)" }
  /// The count as a value of ssh's `-o`.
  var countOption: String { "ServerAliveCountMax=\(count)" }
}
