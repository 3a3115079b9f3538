// The forwards of one link: the open ones, and the batches that wait to be opened.

import SpunnelSystem
import SpunnelTunnel

/// Forwards that were requested together and are not all open yet.
final class Batch {
  /// The forwards of the batch that are still wanted.
  fileprivate(set) var routes: [Route]
  /// What the far sshd is asked about the forwards.
  let inquiry: Inquiry
  fileprivate let done: (Cargo.Outcome) -> Void
  fileprivate var deadline: EventLoop.Timer?
  /// Whether `done` is also called when the link is stopped.
  fileprivate let tellsItsEnd: Bool

  /// Makes a batch; it waits once a cargo has it.
  ///
  /// - Parameter done: called once; not if the link is stopped first, unless `tellsItsEnd`
  init(
    _ routes: [Route], _ inquiry: Inquiry, tellsItsEnd: Bool = false,
    _ done: @escaping (Cargo.Outcome) -> Void
  ) {
    self.routes = routes
    self.inquiry = inquiry
    self.tellsItsEnd = tellsItsEnd
    self.done = done
  }

  /// Whether the requester gives up after some time.
  var hasDeadline: Bool { deadline != nil }

  func wants(_ route: Route) -> Bool { routes.contains { $0 === route } }
}

final class Cargo {
  enum Outcome {
    case ready
    /// A line for the user that says why.
    case failed(String)
  }

  private let loop: EventLoop
  /// The forwards that are open, or that were open when the connection was lost.
  private(set) var carried: [Route] = []
  private var batches: [Batch] = []

  init(_ loop: EventLoop) { self.loop = loop }

  private var routes: [Route] { carried + batches.flatMap(\.routes) }

  /// Whether no forward is open or waiting.
  var isEmpty: Bool { carried.isEmpty && batches.allSatisfy(\.routes.isEmpty) }

  /// Whether a requested forward is open or waiting. Routes of SOCKS clients do not count.
  var isAskedFor: Bool {
    routes.contains { $0.forward.kind != .dynamic || $0.isSocksEntrance }
  }

  /// The batch to open next.
  var next: Batch? { batches.first }

  /// The batches whose requesters give up after some time.
  var urgent: [Batch] { batches.filter(\.hasDeadline) }

  func isWaiting(_ batch: Batch) -> Bool { batches.contains { $0 === batch } }

  func carries(_ route: Route) -> Bool { carried.contains { $0 === route } }

  /// Whether any forward, open or waiting, leads to the service.
  func needs(_ service: Service) -> Bool { routes.contains { $0.service == service } }

  /// Adds a batch to the waiting batches.
  ///
  /// - Parameters:
  ///   - patience: milliseconds that it waits at most; `nil`: for ever
  ///   - late: called when that time is over
  func add(_ batch: Batch, patience: Int? = nil, late: @escaping (Batch) -> Void = { _ in }) {
    batches.append(batch)
    if let patience { batch.deadline = loop.after(milliseconds: patience) { late(batch) } }
  }

  /// Removes a forward, open or waiting.
  func remove(_ route: Route) {
    carried.removeAll { $0 === route }
    for batch in batches { batch.routes.removeAll { $0 === route } }
  }

  /// Marks the forwards of a batch as open.
  func carry(_ batch: Batch) { carried += batch.routes.filter { !carries($0) } }

  /// Reports the outcome of a batch, unless it was reported before.
  func settle(_ batch: Batch, _ outcome: Outcome) {
    guard isWaiting(batch) else { return }
    batches.removeAll { $0 === batch }
    loop.cancel(batch.deadline)
    batch.done(outcome)
  }

  /// Removes all forwards and batches.
  ///
  /// - Parameter reason: reported to the batches with `tellsItsEnd`
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
