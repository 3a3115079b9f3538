// What one link carries: the forwards that are there, and those that somebody waits for.

import SpunnelSystem
import SpunnelTunnel

/// Forwards that were asked for together and are not all there yet.
final class Batch {
  /// Those that are still wanted.
  fileprivate(set) var routes: [Route]
  /// What the far sshd is asked.
  let inquiry: Inquiry
  fileprivate let done: (Cargo.Outcome) -> Void
  fileprivate var deadline: EventLoop.Timer?
  /// Whether `done` is told as well when the link is stopped.
  fileprivate let tellsItsEnd: Bool

  /// - Parameter done: told once, unless the link is stopped before
  init(
    _ routes: [Route], _ inquiry: Inquiry, tellsItsEnd: Bool = false,
    _ done: @escaping (Cargo.Outcome) -> Void
  ) {
    self.routes = routes
    self.inquiry = inquiry
    self.tellsItsEnd = tellsItsEnd
    self.done = done
  }

  /// Whether whoever waits for it gives up in the end.
  var hasDeadline: Bool { deadline != nil }

  func wants(_ route: Route) -> Bool { routes.contains { $0 === route } }
}

final class Cargo {
  enum Outcome {
    case ready
    /// One line for the user.
    case failed(String)
  }

  private let loop: EventLoop
  /// The forwards that are there, or were before the connection was lost.
  private(set) var carried: [Route] = []
  private var batches: [Batch] = []

  init(_ loop: EventLoop) { self.loop = loop }

  private var routes: [Route] { carried + batches.flatMap(\.routes) }

  /// Whether there is no forward at all.
  var isEmpty: Bool { carried.isEmpty && batches.allSatisfy(\.routes.isEmpty) }

  /// Whether a forward is there or waited for, rather than ways for SOCKS clients alone.
  var isAskedFor: Bool {
    routes.contains { $0.forward.kind != .dynamic || $0.isSocksEntrance }
  }

  /// The batch to be opened next.
  var next: Batch? { batches.first }

  /// Those whose askers give up in the end.
  var urgent: [Batch] { batches.filter(\.hasDeadline) }

  func isWaiting(_ batch: Batch) -> Bool { batches.contains { $0 === batch } }

  func carries(_ route: Route) -> Bool { carried.contains { $0 === route } }

  /// Whether any forward, there or waited for, leads to the service.
  func needs(_ service: Service) -> Bool { routes.contains { $0.service == service } }

  /// Lets a batch wait.
  ///
  /// - Parameters:
  ///   - patience: milliseconds that it waits at the most; `nil`: for ever
  ///   - late: told when they are over
  func add(_ batch: Batch, patience: Int? = nil, late: @escaping (Batch) -> Void = { _ in }) {
    batches.append(batch)
    if let patience { batch.deadline = loop.after(milliseconds: patience) { late(batch) } }
  }

  /// Forgets a forward, there or waited for.
  func remove(_ route: Route) {
    carried.removeAll { $0 === route }
    for batch in batches { batch.routes.removeAll { $0 === route } }
  }

  /// The forwards of a batch are there.
  func carry(_ batch: Batch) { carried += batch.routes.filter { !carries($0) } }

  /// Tells what became of a batch, if nobody was told yet.
  func settle(_ batch: Batch, _ outcome: Outcome) {
    guard isWaiting(batch) else { return }
    batches.removeAll { $0 === batch }
    loop.cancel(batch.deadline)
    batch.done(outcome)
  }

  /// Drops everything.
  ///
  /// - Parameter reason: for those who want to be told
  func clear(_ reason: String) {
    let rest = batches
    batches = []
    carried = []
    for batch in rest {
      loop.cancel(batch.deadline)
      if batch.tellsItsEnd { batch.done(.failed(reason)) }
    }
  }
}
